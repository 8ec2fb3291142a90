package adapters

// An Encoding turns the bytes of equipment into text.
type Encoding struct {
	names []string
}

// NewEncoding takes the names of config.md (utf-8, utf-16, iso-8859-1, windows-125x, cp949 = euc-kr, shift-jis, gbk).
// Of several, the first that decodes cleanly is used; a byte order mark wins. None means utf-8.
func NewEncoding(names ...string) (Encoding, error) {
	return Encoding{names: names}, nil
}
