package config

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"legacybridge/mapping"
)

// checkHostPort wants an address with a port; the host may be empty, which listeners read as all addresses.
func checkHostPort(s string) error {
	_, p, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(p, 10, 16)
	}
	if err != nil || strings.ContainsAny(s, " \t/") {
		return wrong("TYP012", `write host:port, as in "192.168.10.21:502" or "[fd00::21]:502"`, "%q is not an address with a port", s)
	}
	return nil
}

// standardPorts are those of the schemes that the platform is reached by.
var standardPorts = map[string]string{"mqtt": "1883", "mqtts": "8883"}

// parseServers returns the list of servers with their ports; nil stands for "local".
func parseServers(n *node) (any, error) {
	list, err := oneOrMore(n)
	if err != nil {
		return nil, err
	}
	if len(list) == 1 && list[0] == "local" {
		return []string(nil), nil
	}
	var out []string
	for i, s := range list {
		at := n.value()
		if i < len(n.elems) {
			at = n.elems[i].value()
		}
		u, err := url.Parse(s)
		if err != nil || standardPorts[u.Scheme] == "" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
			return nil, wrongAt(at, "PLT021", `write mqtts://host:8883, mqtt://host:1883 or "local"`, "%q is not a server of the platform", withoutUser(s))
		}
		if u.User != nil {
			return nil, wrongAt(at, "PLT021", "name the user with api_key and the password with token", "a server address holds no user and no password")
		}
		p := u.Port()
		if p == "" {
			p = standardPorts[u.Scheme]
		}
		address := u.Scheme + "://" + net.JoinHostPort(u.Hostname(), p)
		if slices.Contains(out, address) {
			return nil, wrongAt(at, "PLT021", "each server once", "%q is listed twice", s)
		}
		out = append(out, address)
	}
	return out, nil
}

// withoutUser takes a password out of what will be printed.
func withoutUser(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return "…" + s[at:]
	}
	return s
}

// A byteSpan is a byte, or bytes from..to of a frame; negative numbers count from its end.
type byteSpan struct {
	from, to int
	single   bool
}

// length is the number of bytes; 0 if it depends on the frame.
func (s byteSpan) length() int {
	if (s.from < 0) != (s.to <= 0) {
		return 0
	}
	return s.to - s.from
}

// maxFrame is far above what any frame holds; it keeps sums of offsets inside an int.
const maxFrame = 1 << 20

func parseRange(n *node) (any, error) {
	misread := wrong("TYP013", `write 4 for one byte, or "4..10" for bytes 4 to 9; "-3..-1" counts from the end`, "%s = %s is not a place in a frame", n.name, n.value().writtenOr("…"))
	if v, ok := n.scalar.(int64); ok {
		if v < -maxFrame || v > maxFrame {
			return nil, misread
		}
		return byteSpan{from: int(v), single: true}, nil
	}
	s, ok := n.scalar.(string)
	if !ok {
		return nil, errType
	}
	a, b, found := strings.Cut(s, "..")
	from, err1 := strconv.Atoi(a)
	to, err2 := strconv.Atoi(b)
	switch {
	case !found, err1 != nil, err2 != nil, from < -maxFrame, from > maxFrame, to < -maxFrame, to > maxFrame:
		return nil, misread
	case (from < 0) == (to < 0) && from >= to:
		return nil, wrong("TYP013", `"4..10" are bytes 4 to 9`, "%s = %q holds no byte", n.name, s)
	}
	return byteSpan{from: from, to: to}, nil
}

// rawKey is a raw value as a key of a table: numbers may be written in hexadecimal.
func rawKey(s string) string {
	if v, err := strconv.ParseInt(s, 0, 64); err == nil && strings.HasPrefix(s, "0x") {
		return strconv.FormatInt(v, 10)
	}
	return s
}

func parseEnum(n *node) (any, error) {
	if !n.table || len(n.kids) == 0 {
		return nil, errType
	}
	var rows []mapping.EnumValue
	for _, k := range n.kids {
		row := mapping.EnumValue{Raw: rawKey(k.name)}
		switch v := k.scalar.(type) {
		case string, bool:
			row.Value = v
		case int64, float64:
			row.Value = json.Number(k.decimal())
		}
		if row.Value == nil || row.Value == json.Number("") {
			return nil, errType
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func parseBits(n *node) (any, error) {
	if !n.table || len(n.kids) == 0 {
		return nil, errType
	}
	var bits []mapping.BitName
	for _, k := range n.kids {
		bit, err := strconv.Atoi(k.name)
		text, ok := k.scalar.(string)
		if !ok {
			return nil, errType
		}
		if err != nil || bit < 0 || bit > 63 {
			return nil, wrongAt(k.key(), "TYP004", "use 0 to 63; 0 is the lowest", "%q is not the number of a bit", k.name)
		}
		bits = append(bits, mapping.BitName{Bit: bit, Name: text})
	}
	return bits, nil
}

func parseChange(n *node) (any, error) {
	if s, ok := n.scalar.(string); ok {
		if s == "any" {
			return mapping.Change{Any: true}, nil
		}
		percent, isPercent := strings.CutSuffix(s, "%")
		if v, err := strconv.ParseFloat(percent, 64); !isPercent || err != nil || !(v > 0 && v < 1e6) || strings.ContainsAny(percent, "eExX+_") {
			return nil, wrong("TYP014", `write 0.5 (in the value's unit), "2%" or "any"`, "%q says no change", s)
		}
		return mapping.Change{Percent: percent}, nil
	}
	d := n.decimal()
	if d == "" {
		return nil, errType
	}
	if v, err := strconv.ParseFloat(d, 64); err != nil || v <= 0 {
		return nil, wrong("TYP014", `write a number above 0, or "any" for every difference`, "a change of %s says nothing", d)
	}
	return mapping.Change{By: d}, nil
}

// A unitPlace is a unit as text, or the group or column that holds it.
type unitPlace struct{ unit, group, column string }

func parseUnit(n *node) (any, error) {
	if s, ok := n.scalar.(string); ok {
		return unitPlace{unit: s}, nil
	}
	if !n.table || len(n.kids) != 1 {
		return nil, errType
	}
	k := n.kids[0]
	s, ok := k.scalar.(string)
	switch {
	case !ok || s == "":
		return nil, errType
	case k.name == "from":
		return unitPlace{group: s}, nil
	case k.name == "column":
		return unitPlace{column: s}, nil
	}
	return nil, errType
}
