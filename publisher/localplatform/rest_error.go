package localplatform

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"legacybridge/publisher/wiotp"
)

// A restError is an answer that is not a success.
type restError struct {
	status     int
	id         string   // of the platform's exceptions, where it is known
	message    string   // for the client; "" takes the refusal's
	violations []string // of a request that is not valid

	close     bool     // the connection too
	challenge bool     // ask for a login
	allow     []string // methods

	wrongLogin bool // counted against the client's address

	refusal *wiotp.Refusal // for the log; nil is nothing to log
}

// Exceptions of the platform's registry.
const (
	exceptionInvalid   = "CUDRS0007E"
	exceptionViolation = "CUDRS0012E"
	exceptionExists    = "CUDRS0020E"
)

func (e *restError) Error() string {
	if e.message == "" && e.refusal != nil {
		return e.refusal.Why
	}
	return e.message
}

// An exception is the platform's form of an error: text with an id in front, and the id alone.
type exception struct {
	Message    string       `json:"message"`
	Exception  *exceptionID `json:"exception,omitempty"`
	Violations []exception  `json:"violations,omitempty"`
}

type exceptionID struct {
	ID         string   `json:"id"`
	Properties []string `json:"properties"`
}

func newException(id, message string, properties ...string) exception {
	if id == "" {
		return exception{Message: message}
	}
	if properties == nil {
		properties = []string{}
	}
	return exception{Message: id + ": " + message, Exception: &exceptionID{id, properties}}
}

func (e *restError) body() exception {
	x := newException(e.id, e.Error())
	for _, v := range e.violations {
		x.Violations = append(x.Violations, newException(exceptionViolation, v, "severity", "2"))
	}
	return x
}

func (e *restError) headers(h http.Header) {
	if e.close {
		h.Set("Connection", "close")
	}
	if e.challenge {
		h.Set("WWW-Authenticate", `Basic realm="platform"`)
	}
	if len(e.allow) > 0 {
		h.Set("Allow", strings.Join(e.allow, ", "))
	}
}

func invalid(violations ...string) *restError {
	return &restError{status: http.StatusBadRequest, id: exceptionInvalid,
		message: "the request is not valid, see the violations", violations: violations}
}

func notFound(what string) *restError {
	return &restError{status: http.StatusNotFound, message: what}
}

func forbidden(why, rule string) *restError {
	return &restError{status: http.StatusForbidden, message: why, refusal: &wiotp.Refusal{Rule: rule, Code: wiotp.NotAuthorized, Why: why}}
}

// of puts an error of the registry about d, or about a type alone, into the platform's words.
func of(d Device, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoType):
		return notFound(fmt.Sprintf("device type %s does not exist", d.Type))
	case errors.Is(err, errNoDevice):
		return notFound(fmt.Sprintf("device %s of type %s does not exist", d.ID, d.Type))
	case errors.Is(err, errExists) && d.ID == "":
		return &restError{status: http.StatusConflict, id: exceptionExists, message: fmt.Sprintf("device type %s exists already", d.Type)}
	case errors.Is(err, errExists):
		return &restError{status: http.StatusConflict, id: exceptionExists, message: fmt.Sprintf("device %s of type %s exists already", d.ID, d.Type)}
	case errors.Is(err, errInUse):
		return &restError{status: http.StatusConflict, message: fmt.Sprintf("device type %s still has devices; remove them first", d.Type)}
	case errors.Is(err, errMax):
		return forbidden(err.Error(), "registry")
	}
	return err
}

// writeJSON sends a reply; nil is one without a body.
func writeJSON(rw http.ResponseWriter, status int, reply any) {
	if reply == nil {
		rw.WriteHeader(status)
		return
	}
	text, err := json.Marshal(reply)
	if err != nil { // our own bug; the client must not wait
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, _ = rw.Write(append(text, '\n')) // a client that has gone needs no answer
}
