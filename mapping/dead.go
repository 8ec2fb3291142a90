package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"legacybridge/adapters"
)

// dead makes the letter of a reading that does not become events. Its time is when the record arrived, so that a letter
// of an old file is not too old from the start.
func (w *writer) dead(d *device, r *adapters.Reading, bad *fault, units int) Dead {
	letter := Dead{
		Device: strings.Clone(r.Device),
		Event:  w.only,
		Code:   strings.Clone(bad.code),
		Why:    strings.Clone(bad.why),
		Origin: strings.Clone(r.Origin),
		Time:   w.now,
		Raw:    bytes.Clone(r.Raw),
		Head:   bytes.Clone(r.Head),
		Form:   RawRecord,
		Units:  units,
	}
	if d != nil {
		_, letter.Time = w.times(d, r)
	}
	if r.Raw == nil && r.Fault == nil {
		letter.Raw, letter.Form = appendTexts(nil, r), RawValues
	}
	return letter
}

// appendTexts writes a reading as a JSON object of its names and texts; a name without a text is left out.
func appendTexts(dst []byte, r *adapters.Reading) []byte {
	dst = append(dst, '{')
	for i := range min(len(r.Names), len(r.Values)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, r.Names[i])
		dst = append(dst, ':')
		dst = appendString(dst, r.Values[i])
	}
	return append(dst, '}')
}

// ParseValues reads the Raw of a dead letter whose Form is RawValues back into the names and values of a reading.
func ParseValues(raw []byte) (names, values []string, err error) {
	const form = "the letter is not a JSON object of names and texts"
	in := json.NewDecoder(bytes.NewReader(raw))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, errors.New(form)
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, nil, fmt.Errorf(form+": %w", err)
		}
		value, err := in.Token()
		if err != nil {
			return nil, nil, fmt.Errorf(form+": %w", err)
		}
		s, ok := value.(string)
		if !ok {
			return nil, nil, fmt.Errorf(form+": %v is no text", name)
		}
		names, values = append(names, name.(string)), append(values, s)
	}
	if _, err := in.Token(); err != nil {
		return nil, nil, errors.New(form)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, nil, errors.New(form + ": something stands behind it")
	}
	return names, values, nil
}
