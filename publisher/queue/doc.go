// Package queue is the durable log of events and checkpoints, and the dead letters. It is the only package that writes
// data files, but for the embedded platform's own store.
//
// # What it promises
//
//   - When Append returns nil, its events, its dead letters and the checkpoint behind them are on the disk, all of them; a
//     crash at any moment leaves all of a batch or nothing of it.
//   - An event is read until it was acknowledged, set aside or dropped; what was dropped is counted, by device, in the same
//     write that drops it. After a crash an event may come again, with the same number, never with another one.
//   - A number stands for one event for ever.
//   - What fails once is not tried again: Failed is closed, and the process is to end. A full disk is no failure.
//   - Damaged bytes cost the records that they are in, which is logged and counted, and no others.
//
// # Files
//
// The queue's folder, and that of the dead letters, is a log in segments, 0000000001.log and so on; the numbers rise and are
// not used again. Beside them lie lock (held by the one process that writes), and in the queue's folder cursor and reserve.
// A file .tmp is a compaction that was not finished, a file .damaged a segment of which nothing could be read. Integers are
// little-endian; "uvarint" and "varint" are those of package encoding/binary, "text" is a uvarint length and the bytes.
//
// A segment begins with two equal headers of 64 bytes:
//
//	 0  8  "lbqueue\n"
//	 8  4  version, 1
//	12  4  CRC32C of all the other bytes of the header
//	16  8  index, as in the file's name
//	24  8  number below which the segment has none
//	32  8  machine: the first 8 bytes of the SHA-256 of its id; 0: not known
//	40  4  stream: random; 8 hex digits of it begin the events' ids
//	44  4  flags; 1: batches were taken out by a compaction
//	48 16  zero
//
// Records follow, each at a multiple of 8 bytes:
//
//	 0  4  "LBr1"
//	 4  4  CRC32C of bytes 8 to 13 and of the body with its padding
//	 8  4  length of the body, without padding
//	12  1  kind; 1 state, 2 batch, 3 dead letter, 4 dead letters dropped, 5 command
//	13  1  flags; 1: the first record of a write, so all before it was synced
//	14  2  check of bytes 4 to 13: both halves of their CRC32C, exclusive-or
//	16     body, padded with zeros to a multiple of 8
//
// Both sums begin with the CRC32C of stream (4 bytes), index (8) and the record's offset (8), so that bytes which were
// copied from elsewhere, into an event for instance, are never taken for a record. If a body is damaged, the head leads to
// the next record; if a head is, the next one is looked for at every eighth byte.
//
// A segment begins with its state, twice: all that the segments before would have told, but for the events that wait.
// So any of them can go as soon as nothing in it waits. State of the queue: varint nanoseconds when the folder was made;
// uvarint damaged records; uvarint events lost in them; uvarint count, then link text and checkpoint text of each; ledger
// rows; uvarint first; spans; nothing, or commands: uvarint count, then key and varint seconds of those of the last 24 h;
// uvarint count, then text device, text name and varint nanoseconds of each command last accepted; uvarint count and the
// commands that are under way. Numbers below first and in spans do not wait. State of the dead letters: uvarint letters gone
// with age or size; uvarint first; spans.
//
// Batch: number of the first event (8); time stored, Unix nanoseconds (8); uvarint count of events; link text; 1 and
// checkpoint text, or 0; length (4) of what follows: spans of numbers that left the queue, ledger
// rows, uvarint events lost in a damaged record; then, with
// events, uvarint count of templates, the templates, the events. Template: a byte, QoS in bits 0 and 1, number form in 2
// and 3, 16 part of a chunked event, 32 batch, 64 suffix; text device, type, id, name, format; uvarint max and varint
// nanoseconds within; text suffix. Event: uvarint template; varint seconds since the event before (the first: since
// stored), Unix; uvarint twice the milliseconds, or twice the nanoseconds and one; uvarint part and parts; payload text.
// Ledger rows: uvarint count; of each text device and uvarint read, filtered, absent, dead, dropped, queued, gone. Spans:
// uvarint count; of each uvarint distance from the one before and uvarint length.
//
// Dead letter: number (8); time stored (8); text link, device, event, code, why, origin; time as above; byte form; byte 1
// if the end of raw was cut off; uvarint units; text raw, head; 0, or 1, template, uvarint part and parts, and time of the event that it was. Dead letters
// dropped: next number (8); time (8); uvarint of them gone with age or size; spans.
//
// Command: number that comes next (8); byte 1 accepted and the command, or 2 ended and its key. The command: key (16), from device
// and id, or random; varint nanoseconds; text device, name, id, topic, args, value. One that ended stands behind the batch with its
// reply, in one write. What is accepted and not ended when the folder is opened was cut off by a crash.
//
// The cursor has two slots of 24 KiB, zero behind what is used: "lbcursor"; CRC32C (4) of the rest; length (4); sequence (8);
// stream (4), segment (8), offset (8) and number (8) at which the log ended; uvarint first; spans, at most 1,000. The whole
// slot of the higher sequence counts. One slot is written until it is synced, then the other.
//
// The reserve takes room, zeros: 16 MiB, or a twentieth of a smaller file system. It is given up when the disk is full, to
// what must be written even then.
//
// Behind the last record there may be zeros: room that was laid for small commits. It is given back when the segment or the
// queue is closed, and serves on after a crash.
//
// # After a crash
//
// The last write may be torn: it was never promised, and is cut off. What is torn and what is damaged is told apart by what
// the cursor knows to be durable, and by later writes. The last write that is whole is written and synced once more: had
// its sync failed before, the system would still show it, and a power cut would take it. Numbers that a cut-off write
// might have had are passed over. Numbers that wait and are in no record are said to be lost: their segment is missing, for one
// goes only behind a durable cursor. Where a slot of the cursor is damaged they are taken for delivered.
//
// # Room
//
// Config.MaxBytes is what the segments take on the disk. A link that stops reading waits at seven eighths of it if other
// links drop, so that what those give up is theirs. Drop-oldest gives up events of links that want it so, and no others:
// a segment's at a time, and what must stay there is written anew. On a full disk no event is stored until the reserve can
// be taken back, which is tried every second; drop-oldest gives up what is needed for that, once a second at most where the
// disk does not show it at once. If dead letters have a disk of their own that is full, only what brings some waits.
package queue
