package config

import (
	"regexp"
	"slices"
	"strings"
)

// A secret that someone wrote as plain text, in whatever wrong way, must not get into a log with an error message.

var (
	// secretKey is a key of a secret, or a slip of one.
	secretKey = regexp.MustCompile(`(?i)(?:\b|_)to?e?k|passw?|pwd|secret`)
	// secretPlace is the beginning of what such a key has: all behind it is covered but for the place where a secret is kept.
	secretPlace = regexp.MustCompile(`(?i)["']?[\w.-]*(?:(?:\b|_)to?e?k|passw?|pwd|secret)[\w.-]*["']?\s*=\s*`)
	keptIn      = regexp.MustCompile(`^\{(?:\s*(?:file|env|credential)\s*=\s*(?:"[^"]*"|'[^']*')\s*,?)+\s*\}`)
	wholeValue  = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'[^']*')[ \t]*(?:[,}][^#]*)?$`)
	firstValue  = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'[^']*')`)
	// userInfo is a user and a password in an address, where they do not belong. A password may hold nearly everything.
	userInfo = regexp.MustCompile(`(://).*@`)
	// placeName is a name of a file, variable or credential as people give them. What is none may be the secret itself.
	placeName = regexp.MustCompile(`^[\pL\pN_./: -]+$`)
)

// cover puts asterisks in the place of a secret in a line.
func cover(row string) string {
	row = userInfo.ReplaceAllStringFunc(row, func(found string) string {
		return "://" + stars(found[len("://"):len(found)-1]) + "@"
	})
	at := secretPlace.FindStringIndex(row)
	if at == nil {
		if n := strings.IndexByte(row, '#'); n >= 0 && secretKey.MatchString(row) {
			return row[:n+1] + stars(row[n+1:])
		}
		return row
	}
	head, rest := row[:at[1]], row[at[1]:]
	if kept := keptIn.FindString(rest); kept != "" {
		next := cover(rest[len(kept):])
		if n := strings.IndexByte(next, '#'); n >= 0 {
			next = next[:n+1] + stars(next[n+1:])
		}
		return head + kept + next
	}
	if wholeValue.MatchString(rest) { // what follows it in the line says something else
		value := firstValue.FindString(rest)
		return head + stars(value) + cover(rest[len(value):])
	}
	return head + stars(rest)
}

func stars(text string) string { return strings.Repeat("*", width(text)) }

// veil takes the lines off the problems since the nth, which are of the keys of a secret, if one of them is not known: it
// may have the secret itself.
func (l *loader) veil(secret *node, n int) {
	for _, kid := range secret.kids {
		if !slices.ContainsFunc(secretForms, func(k key) bool { return k.name == kid.name }) {
			for _, p := range l.problems[n:] {
				p.hide = true
			}
			secret.bad = true
		}
	}
}

// veiled says that what is named as the place of a secret may be the secret itself.
func veiled(place *node) bool {
	return !placeName.MatchString(strings.Trim(place.value().writtenOr(place.name), `"'`))
}

func placeText(place *node) string {
	if veiled(place) {
		return "the place of the secret, which is not shown for it may be the secret itself,"
	}
	return place.value().writtenOr(place.name)
}
