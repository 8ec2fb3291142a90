package config

// examples show how a value of a kind is written.
var examples = map[kind][2]string{
	anyText: {"a text", `"…"`}, yesNo: {"true or false", "true"}, whole: {"a whole number", "8"}, number: {"a number", "0.1"},
	fraction: {"a number", "0.2"}, duration: {"a duration in quotes", `"500ms", "10s", "15m", "12h" or "7d"`},
	size: {"a size in quotes", `"64MiB" or "512kB"`}, word: {"a word in quotes", `"…"`}, name: {"a name in quotes", `"…"`},
	texts: {"a list of texts", `["…", "…"]`}, textOrTexts: {"a text or a list of texts", `"…" or ["…", "…"]`},
	names: {"a list of names", `["…", "…"]`}, regex: {"a pattern in single quotes", `'^(?<weight>[\d.]+) kg$'`},
	regexes: {"a pattern in single quotes, or a list of them", `'^(?<weight>[\d.]+) kg$'`}, letter: {"one character in quotes", `";"`},
	letterOrNone: {"one character in quotes", `"#"`}, zone: {"a time zone in quotes", `"Europe/Berlin"`}, mode: {"a mode in quotes", `"9600 8N1"`},
	hostPort: {"host:port in quotes", `"192.168.10.21:502"`}, hexBytes: {"hexadecimal digits in quotes", `"02"`}, rawBytes: {"a text", `"\r\n"`},
	byteRange: {"a byte or a range of bytes", `4 or "4..10"`}, servers: {"a URL, a list of URLs or \"local\"", `"mqtts://host:8883"`},
	encoding: {"an encoding in quotes", `"cp949"`}, encodings: {"an encoding or a list of them", `"utf-8" or ["utf-8", "iso-8859-1"]`}, enum: {"a table of raw values", `{ 0 = "off", 1 = "on" }`},
	raws: {"a list of raw values", `["---", -999]`}, bitSet: {"a table of bits", `{ 0 = "low-oil", 4 = "guard-open" }`},
	change: {"a number, a percentage or \"any\"", `0.5, "2%" or "any"`}, unitOf: {"a unit, or where it stands", `"kn" or { from = "unit" }`},
	secretTable: {"a table that says where the secret is", `{ file = "/etc/legacybridge/secrets/NAME" }`},
}
