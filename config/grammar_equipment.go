package config

// The grammar of links, devices, points and events.

// linkKinds are the keys of which a link has exactly one; they name its adapter.
var linkKinds = []key{
	{name: "serial", kind: anyText, on: onSerial},
	{name: "tcp", kind: hostPort, on: onTCP},
	{name: "modbus_tcp", kind: hostPort, on: onModbusTCP},
	{name: "modbus_rtu", kind: anyText, on: onModbusRTU},
	{name: "modbus_ascii", kind: later, on: onModbusASCII, soon: true},
	{name: "modbus_rtu_tcp", kind: hostPort, on: onModbusRTUTCP},
	{name: "file", kind: anyText, on: onFile},
	{name: "folder", kind: later, on: onFolder, soon: true},
}

const ttys = onSerial | onModbusRTU | onModbusASCII

var linkKeys = concat(linkKinds, pollKeys, []key{
	reopenKey,
	{name: "when_full", kind: word, words: whenFull, what: "something to do when the queue is full"},
	{name: "mode", kind: mode, on: ttys},
	{name: "allow_unstable", kind: yesNo, on: ttys},
	{name: "open", kind: texts, on: lines},
	{name: "frame", kind: tableOf, on: lines, sub: frameKeys},
	{name: "encoding", kind: encodings, on: lines | rows},
	{name: "connections", kind: later, on: onModbusTCP, soon: true},
	{name: "close_when_idle", kind: later, on: onModbusTCP | onModbusRTUTCP, soon: true},
	{name: "gap", kind: duration, on: onModbusRTU | onModbusASCII | onModbusRTUTCP, lo: 1, hi: 10 * 1000},
	{name: "rs485", kind: later, on: onModbusRTU | onModbusASCII, soon: true},
	{name: "echo", kind: later, on: onModbusRTU | onModbusRTUTCP, soon: true},
	{name: "follow", kind: yesNo, on: onFile},
	{name: "start", kind: word, on: onFile, words: []string{"begin", "end"}, what: "a place to start"},
	{name: "flush_partial_after", kind: duration, on: onFile, lo: 100, hi: day},
	{name: "poll", kind: duration, on: rows, lo: 10, hi: hour},
	{name: "match", kind: later, on: onFolder, soon: true},
	{name: "ready", kind: later, on: onFolder, soon: true},
	{name: "after", kind: later, on: onFolder, soon: true},
	{name: "csv", kind: tableOf, on: rows, sub: csvKeys},
})

var frameKeys = []key{
	{name: "start", kind: hexBytes},
	{name: "end", kind: rawBytes},
	{name: "length", kind: whole, lo: 1, hi: maxFrame},
	{name: "idle", kind: duration, lo: 1, hi: hour},
	{name: "max", kind: whole, lo: 1, hi: maxFrame},
	{name: "checksum", kind: later, soon: true},
}

var csvKeys = []key{
	{name: "separator", kind: letter},
	{name: "quote", kind: letter},
	{name: "comment", kind: letterOrNone},
	{name: "decimal", kind: letter},
	{name: "thousands", kind: letterOrNone},
	{name: "skip", kind: whole, lo: 0, hi: 10000},
	{name: "header", kind: yesNo},
	{name: "columns", kind: texts},
	{name: "footer", kind: regex},
	{name: "time", kind: tableOf, sub: []key{
		{name: "column", kind: textOrTexts, need: true},
		{name: "format", kind: anyText, need: true},
		{name: "zone", kind: zone},
		{name: "dst", kind: word, words: []string{"first", "second", "reject"}, what: "a choice for the doubled hour"},
	}},
	{name: "max_record", kind: size, lo: 64, hi: 64 << 20},
}

var deviceKeys = []key{
	{name: "type", kind: name, class: topicName, need: true},
	{name: "id", kind: anyText},
	{name: "ids", kind: names, on: rows},
	{name: "link", kind: anyText, need: true},
	{name: "profile", kind: later, on: modbusLinks | lines, soon: true},
	{name: "unit", kind: whole, on: modbusLinks, lo: 0, hi: 255},
	{name: "count_from", kind: whole, on: modbusLinks, lo: 0, hi: 1},
	{name: "every", kind: duration, lo: 10, hi: day},
	{name: "ask", kind: tableOf, on: lines, sub: []key{
		{name: "send", kind: rawBytes, need: true},
		{name: "timeout", kind: duration, lo: 10, hi: hour},
	}},
	{name: "line", kind: regexes, on: lines},
	{name: "busy", kind: later, on: lines, soon: true},
	{name: "fault", kind: later, on: lines, soon: true},
	{name: "stale", kind: silence, lo: 100, hi: 365 * day},
	{name: "points", kind: named, class: pointName, what: "point", sub: pointKeys},
	{name: "computed", kind: named, class: pointName, what: "computed point", sub: computedKeys},
	{name: "events", kind: named, class: topicName, what: "event", sub: eventKeys},
	{name: "commands", kind: named, on: modbusLinks | lines, class: topicName, what: "command", sub: commandKeys},
}

var byteOrders = []string{"ABCD", "CDAB", "BADC", "DCBA"}

var pointKeys = []key{
	{name: "holding", kind: whole, on: modbusLinks},
	{name: "input", kind: whole, on: modbusLinks},
	{name: "coil", kind: whole, on: modbusLinks},
	{name: "discrete", kind: whole, on: modbusLinks},
	{name: "from", kind: anyText, on: lines},
	{name: "at", kind: byteRange, on: lines},
	{name: "column", kind: anyText, on: rows},
	{name: "type", kind: anyText},
	{name: "order", kind: word, on: modbusLinks | lines, words: byteOrders, what: "a byte order", code: "MOD004"},
	{name: "bit", kind: whole, on: modbusLinks | lines, lo: 0, hi: 63},
	{name: "mask", kind: whole, on: modbusLinks | lines, lo: 1, hi: anySize},
	{name: "length", kind: whole, on: modbusLinks | lines, lo: 1, hi: 250},
	{name: "encoding", kind: encoding, on: modbusLinks | lines},
	{name: "names", kind: bitSet, on: modbusLinks | lines},
	{name: "literal", kind: yesNo, on: modbusLinks},
	{name: "scale", kind: number},
	{name: "offset", kind: number},
	{name: "unit", kind: anyText},
	{name: "read_unit", kind: unitOf},
	{name: "decimals", kind: whole, lo: 0, hi: 9},
	{name: "enum", kind: enum},
	{name: "absent", kind: raws},
	{name: "min", kind: number},
	{name: "max", kind: number},
	{name: "counter", kind: yesNo},
}

// unitKeys say where the unit of a reading is.
var unitKeys = []key{
	{name: "from", kind: anyText, on: lines},
	{name: "column", kind: anyText, on: rows},
}

var computedKeys = []key{
	{name: "is", kind: anyText, need: true},
	{name: "unit", kind: anyText},
	{name: "decimals", kind: whole, lo: 0, hi: 9},
	{name: "min", kind: number},
	{name: "max", kind: number},
}

var eventKeys = concat(publishKeys, []key{
	{name: "points", kind: names},
	{name: "every", kind: duration, lo: 10, hi: 366 * day},
	{name: "on_change", kind: changes},
	{name: "at_least", kind: duration, lo: 10, hi: 366 * day},
	{name: "when", kind: anyText},
	{name: "align", kind: yesNo},
	{name: "key", kind: later, on: rows, soon: true},
	{name: "batch", kind: tableOf, sub: []key{
		{name: "max", kind: whole, lo: 1, hi: 100000, need: true},
		{name: "within", kind: duration, lo: 10, hi: day, need: true},
	}},
	{name: "from", kind: later, soon: true},
})

func concat(lists ...[]key) (all []key) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
