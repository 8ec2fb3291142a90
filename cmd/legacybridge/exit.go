package main

// Exit codes. Scripts and the service unit branch on them.
const (
	exitOK       = 0
	exitProblems = 1  // problems found
	exitUsage    = 2  // the command line
	exitUnreach  = 3  // equipment or platform not reachable
	exitRefused  = 4  // not allowed, already running
	exitBug      = 70 // our bug
	exitDisk     = 74 // run: the queue failed; the service manager starts it again
	exitConfig   = 78 // run: configuration; the service manager leaves it stopped
)

// An exitError ends the program with code; a nil err has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }
