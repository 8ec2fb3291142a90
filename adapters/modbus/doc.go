// Package modbus polls the units of one Modbus bus or host: Modbus TCP, RTU on a tty, RTU frames over TCP.
//
// It owns requests and replies, from the list of points to the text of their values. goburrow/modbus packs and unpacks
// frames; every byte goes through the wire of this package, over hardware/port.
//
// What it promises:
//   - A value is from a reply to the very request that asked for it. Unit, function, byte count and checksum or
//     transaction must be those of the request; everything else is discarded. After a time-out a connection is renewed,
//     and a serial line (also one behind a converter) must be silent for one more timeout before the next request, so
//     that a late reply is never taken for the next one. RTU has no numbers: a reply that is later than
//     that cannot be told, and is only met by discarding what came unasked before a request.
//   - A poll invents nothing. Points of a request that was refused, damaged or not answered are absent: left out of Names
//     and Values, with one list of names for each set of requests. If no request was answered there is no reading.
//   - One connection, one request in flight, a deadline on each. The time that the characters take on a tty comes on
//     top of the timeout.
//   - A unit that is silent does not hold up the others. A poll in which nothing was answered is a miss: the first costs
//     all retries, the next ones one request each, soon after; from the third on it is one request per 30 s, and
//     all silent units together take at most a tenth of the time while others answer. When a unit comes back, the
//     other silent ones are asked at once: the cause may have been a common one. A single request that a unit ignores
//     while it answers others is treated alike. "Gateway" exceptions (0x0A, 0x0B) are silence of the unit behind it.
//   - Exceptions never close the connection and never are a value. Busy (6) repeats the poll after 100, 200 and
//     400 ms if the next one is not due by then; all others wait for the next poll.
//   - Writes (FC 5, 6, 15, 16) go out between two polls, each at most once: what is not confirmed is unknown and never
//     repeated, nor is a write sent anew over a new connection. A reply repeats its request, and the reply to one of a single
//     register or coil is equal to it: so no write goes out on a line of which it is not known, from a read, whether it
//     gives an echo.
//   - Devices are asked oldest due first. A poll that is not reached before the next is due is left out, not made up.
//
// Run returns only when the port or host cannot be opened, or a tty has gone. A host that hangs up between polls
// is called again once; one that hangs up instead of answering counts as a unit's silence.
//
// Codes in State: COM003 no answer, COM004 exception, COM005 damaged replies, COM006 polled late; those of
// hardware/port for the link.
package modbus
