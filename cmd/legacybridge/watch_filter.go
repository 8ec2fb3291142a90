package main

import (
	"crypto/rand"
	"fmt"
	"strings"

	"legacybridge/config"
	"legacybridge/publisher"
	"legacybridge/publisher/localplatform"
	"legacybridge/publisher/wiotp"
)

func watchID(cfg *config.Config) wiotp.ClientID { return furtherID(cfg, "watch") }

// reasonID is for the session that hears why the platform ends another.
func reasonID(cfg *config.Config) string { return furtherID(cfg, "why").String() }

// furtherID is an id that no other session has: APP-watch-XXXXX.
func furtherID(cfg *config.Config, what string) wiotp.ClientID {
	return wiotp.ClientID{Class: wiotp.Application, Org: cfg.Org, App: cfg.App + "-" + what + "-" + rand.Text()[:5]}
}

// reachLocal points a session at the embedded platform, with its key, if that is the platform.
func reachLocal(cfg *config.Config, session publisher.Config) (publisher.Config, error) {
	if !cfg.Local {
		return session, nil
	}
	server, secure, err := cfg.ReachLocal(cfg.LocalCfg.Listen)
	if err != nil {
		return session, err
	}
	session.Servers, session.TLS = []string{server}, secure
	if session.User != "" || cfg.Org == wiotp.Quickstart {
		return session, nil
	}
	session.User, session.Password, err = localKey(cfg)
	return session, err
}

// localKey is the key of our own sessions with the embedded platform.
func localKey(cfg *config.Config) (string, wiotp.Token, error) {
	key, token, err := localplatform.OwnKey(cfg.LocalCfg)
	if err != nil {
		return "", "", exit(exitUnreach, fmt.Errorf("the key of the embedded platform: %w; start it with  legacybridge run  or  legacybridge platform, or name its state folder with --state", err))
	}
	return key, token, nil
}

// watchTopic is the template of the topics of a kind; "" for a kind that only platforms of this family have.
func watchTopic(cfg *config.Config, kind wiotp.Kind) string {
	switch kind {
	case wiotp.Event:
		return either(cfg.Platform.Topic, publisher.DefaultTopic)
	case wiotp.Command:
		return either(cfg.Writes.Topic, publisher.DefaultCommands)
	}
	return ""
}

func either(configured, usual string) string {
	if configured == "" {
		return usual
	}
	return configured
}

// watchFilter is what to subscribe to: the topic's template with the selectors, + for those that are left out. What
// the platform would refuse is refused here, with the reason that it would not give.
func watchFilter(cfg *config.Config, id wiotp.ClientID, kind wiotp.Kind, f watchFlags) (string, error) {
	for _, selector := range []string{f.typ, f.id, f.name, f.format} {
		if strings.ContainsAny(selector, "/+#") {
			return "", fmt.Errorf("%q: a selector is one level of the topic, without / + #", selector)
		}
	}
	template := watchTopic(cfg, kind)
	ours := either(cfg.Platform.Topic, publisher.DefaultTopic) == publisher.DefaultTopic
	switch {
	case template == "" && !ours:
		return "", fmt.Errorf("this server is not of the platform's kind (platform.topic): it has no %s", kind)
	case kind == wiotp.DeviceStatus:
		template = "iot-2/type/{type}/id/{id}/mon"
	case kind == wiotp.AppStatus:
		template = "iot-2/app/{id}/mon"
	}
	filter := fillTemplate(template, map[string]string{"{type}": f.typ, "{id}": f.id, "{event}": f.name, "{command}": f.name, "{format}": f.format})
	if !ours {
		return filter, nil
	}
	if kind == wiotp.Command && cfg.Org == wiotp.Quickstart {
		return "", fmt.Errorf("quickstart has no commands, neither to publish nor to subscribe to")
	}
	if _, err := id.ParseFilter(filter, cfg.LocalCfg.QuickstartWildcards); err != nil {
		return "", err
	}
	return filter, nil
}

// fillTemplate makes a filter of a topic's template: a part that is left out, and each level with a wildcard, is +.
func fillTemplate(template string, parts map[string]string) string {
	levels := strings.Split(template, "/")
	for i, level := range levels {
		for name, part := range parts {
			if part == "" {
				part = "+"
			}
			level = strings.ReplaceAll(level, name, part)
		}
		if strings.Contains(level, "+") {
			level = "+" // a wildcard is a whole level
		}
		levels[i] = level
	}
	return strings.Join(levels, "/")
}

// topicParts reads a topic by its template; what the template does not tell stays empty.
func topicParts(template, topic string) wiotp.Topic {
	var t wiotp.Topic
	into := map[string]*string{"{type}": &t.Type, "{id}": &t.ID, "{event}": &t.Name, "{command}": &t.Name, "{format}": &t.Format}
	names, levels := strings.Split(template, "/"), strings.Split(topic, "/")
	for i, name := range names {
		if part := into[name]; part != nil && i < len(levels) {
			*part = levels[i]
		}
	}
	if t.Type == "" && t.ID == "" {
		t.Type = topic
	}
	return t
}
