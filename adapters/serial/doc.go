// Package serial reads lines and frames from a tty or a raw TCP stream, whether devices talk by themselves or are asked.
//
// One goroutine owns the line (Run). It cuts frames out of the bytes (splitter), lets every device take the frames that
// are its own (Decoder), and hands the readings on while earlier ones are being stored. A line cannot be read again:
// what came for or during a put that failed is lost, nothing else.
//
// A value is never made of what may be something else. Dropped and counted: what was under way when the port opened,
// frames over the maximum, frames of fixed length that were interrupted or lack their end, and answers that nobody
// waits for. After a question that went unanswered, or was answered with something unreadable, the next one waits until
// the line has been silent for one more timeout; an answer later than that cannot be told from the next one. A silent
// device that shares its line with others is asked less and less often.
//
// Commands go out between two questions, each at most once. With an Expect the next frame is the answer (not one of a device
// that talks by itself, nor the echo of what was sent); none in time means that it is not known what became of it.
//
// Dead letters: FRM003 frame too short for its points, FRM004 no line matches, FRM005 a line with a pause of ten seconds
// inside, FRM006 a damaged character in a value. Once hardly anything can be read (state garbled) only a sample of
// undecodable frames is kept, the rest is counted.
//
// Codes in State: COM003 no answer, COM005 garbled, COM006 asked late, COM007 quiet, FRM004 unreadable answers, and
// those of package port.
package serial
