package main

import (
	"context"
	"fmt"
	"time"

	"legacybridge/config"
	"legacybridge/mapping"
	"legacybridge/publisher"
	"legacybridge/publisher/queue"
)

// settleTime is how long commands that a crash has cut off may take to be reported.
const settleTime = 10 * time.Second

// downlink makes the session for commands: nil where nothing may be written, with --once, and where no device lists any.
func (s *site) downlink(platform publisher.Config, q *queue.Queue, gate *publisher.Gate) (*publisher.Downlink, error) {
	if s.once {
		return nil, nil
	}
	links, addresses, err := commandLinks(s.cfg)
	if err != nil {
		return nil, err
	}
	taken := s.cfg.Writes.Allow && len(links) > 0
	if !taken && len(q.CommandsUnderWay()) == 0 {
		return nil, nil
	}
	audit, err := queue.OpenAudit(s.cfg.Queue.FS, s.cfg.Writes.Audit)
	if err != nil {
		return nil, openError(err)
	}
	cfg := publisher.DownlinkConfig{Links: links, Queue: q, Gate: gate, Audit: audit, Log: s.log.With("source", "commands")}
	if !taken {
		ctx, cancel := context.WithTimeout(context.Background(), settleTime)
		defer cancel()
		publisher.SettleCommands(ctx, cfg)
		return nil, audit.Close()
	}
	if cfg.Topics, err = publisher.NewCommandTopics(s.cfg.Writes.Topic, addresses); err != nil {
		return nil, err
	}
	cfg.Platform = platform
	cfg.Platform.ClientID, cfg.Platform.Report = s.cfg.Client("-cmd").String(), nil
	cfg.Platform.KeepSession = platform.KeepSession && s.cfg.Scalable && s.cfg.Instance == "" // else an old command would wait there for us
	return publisher.NewDownlink(cfg)
}

// commandLinks are the links of which devices list commands, and where these are registered.
func commandLinks(cfg *config.Config) (links []publisher.CommandLink, addresses []publisher.Address, err error) {
	for _, link := range cfg.Links {
		l := publisher.CommandLink{Name: link.Name, Stale: link.Stale}
		for _, d := range link.Mapping.Devices {
			if len(d.Commands) > 0 {
				l.Devices = append(l.Devices, d.Name)
				addresses = append(addresses, publisher.Address{Device: d.Name, Type: d.Type, ID: d.ID})
			}
		}
		if l.Devices == nil {
			continue
		}
		if l.Rules, err = mapping.NewCommander(link.Mapping); err != nil {
			return nil, nil, fmt.Errorf("link %s: %w", link.Name, err)
		}
		links = append(links, l)
	}
	return links, addresses, nil
}
