package wiotp

import (
	"fmt"
	"path"
	"strings"
)

// A Group is a resource group: the devices that an API key may act for. nil is every device.
type Group []Glob

// A Glob is TYPE/ID, where * stands for any characters and ? for one: "kiln/*", "*/K-1?".
type Glob struct{ Type, ID string }

func (g Glob) String() string { return g.Type + "/" + g.ID }

// ParseGlob reads TYPE/ID.
func ParseGlob(s string) (Glob, error) {
	typ, id, ok := strings.Cut(s, "/")
	if !ok {
		return Glob{}, fmt.Errorf("%q is not TYPE/ID, such as kiln/* or kiln/K-1", clip(s))
	}
	for _, part := range [...]struct{ what, s string }{{"the device type", typ}, {"the device id", id}} {
		if part.s == "" {
			return Glob{}, fmt.Errorf("%q: %s is empty; * stands for all", clip(s), part.what)
		}
		for i := range len(part.s) {
			if c := part.s[i]; !segmentByte[c] && c != '*' && c != '?' {
				return Glob{}, fmt.Errorf("%q: %s contains %q, not one of A-Z a-z 0-9 . _ - * ?", clip(s), part.what, part.s[i:i+1])
			}
		}
	}
	return Glob{typ, id}, nil
}

// ParseGroup reads all of globs. An empty list is an empty group's opposite, every device, and an error: it should be
// left out.
func ParseGroup(globs []string) (Group, error) {
	if len(globs) == 0 {
		return nil, fmt.Errorf("the list of devices is empty; leave it out to allow all")
	}
	group := make(Group, len(globs))
	for i, s := range globs {
		g, err := ParseGlob(s)
		if err != nil {
			return nil, err
		}
		group[i] = g
	}
	return group, nil
}

// Has says whether the device belongs to the group.
func (g Group) Has(typ, id string) bool {
	if g == nil {
		return true
	}
	for _, glob := range g {
		// The globs were checked: no bracket, no backslash, so Match has no error.
		if ok, _ := path.Match(glob.Type, typ); !ok {
			continue
		}
		if ok, _ := path.Match(glob.ID, id); ok {
			return true
		}
	}
	return false
}
