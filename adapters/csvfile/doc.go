// Package csvfile follows CSV files that other programs write. A source reads one file, or the matches of a glob, row
// by row; a row is taken once its newline is there. Its position moves with the rows in one batch, so a row is given
// exactly once, across restarts, renames and rotation.
//
// The periodic look at the folder is the truth; change notices only shorten the wait. A file is known by its inode and by
// what stands in it: the first KiB and the bytes before the position. So a file that was renamed is read on where we
// stopped, one that was truncated or replaced in place is read from its beginning, and one that was rewritten with the
// same rows and more is read on. Of a glob the newest match is followed, and all that came since the last one are
// read before it, oldest first. A file that was left and grows again is read on where it was left. At most 10,000
// files may match. The old file is left when it has been quiet for two looks, or after a minute.
//
// What cannot be read back: rows written between the copy and the truncation of copytruncate, rows of a file that
// was deleted or truncated while nobody read, and, for a single path, a file that came and was renamed while nobody
// read (a glob that matches the renamed files has them).
//
// A symbolic link found by a glob may not lead out of the folder; only regular files are ever opened for reading.
//
// An invalid row is a Reading with a Fault, in its place among the rows; it never stops the file:
//
//	CSV001  wrong number of columns
//	CSV002  a quote that is not closed within max_record or 1,000 lines, or text after a closing quote. Only the line that
//	        opened the quote is given up: the lines after it are read again, each for itself
//	CSV003  longer than max_record; what is kept of it ends with a NUL
//	CSV004  below another header line than the first one; the header line that is the record's Head
//	CSV005  a column that is needed is not in the header, or is in it twice
//	CSV006  the file ended, or was left, in the middle of the row; or the rest of such a row came later
//	CSV007  NUL bytes in the row, as a power cut leaves them; each run is kept as one NUL
//	CSV008  the time column does not hold a time
//	CSV009  the time is in the hour that is skipped when summer time begins
//	CSV010  the time is in the doubled hour when summer time ends, and dst = "reject"
//
// A row whose quote is open waits for its end like half a row does. A required column that is missing makes a dead letter of
// every row of the devices that need it. Characters that the encoding does not allow become U+FFFD and count as damaged.
//
// Conditions of the link, in State.Code: CSV011 the file cannot be opened (said after a minute if it may only be locked),
// CSV012 no file, CSV013 too many files, CSV014 hardly any row decodes; and CSV004, CSV005 as above.
//
// A header that differs is told from a bad row by this: no cell is empty or looks like a number, and at least one cell is a
// name of the first header. Empty lines are passed over, as are bytes of a byte order mark at the start of a line.
// A file that begins without the header that its forerunner had (a logger after copytruncate) is read under the old one.
package csvfile
