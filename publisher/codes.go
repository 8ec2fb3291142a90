package publisher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// ErrUnreachable is what Run returns after Finish when the platform cannot be reached or refuses what is left, and
// what Watch returns when no server lets it in at the first round. It wraps the Failure behind it.
var ErrUnreachable = errors.New("not connected to the platform")

// Codes of what goes wrong between us and the platform.
const (
	codeUnreachable = "PLT001" // no connection
	codeLogin       = "PLT002" // api key, token or right to log in
	codeClientID    = "PLT003"
	codeUnavailable = "PLT004"
	codeTLS         = "PLT005"
	codeRival       = "PLT006" // another client uses our id
	codeSilent      = "PLT007" // no acknowledgement, no answer to a ping
	codeClosed      = "PLT008" // closed by the server, without a reason
	codeAllRefused  = "PLT009" // three in a row set aside, nothing acknowledged
	codeRefused     = "PLT010" // dead letter: the server hangs up on this event
	codeTopic       = "PLT011" // dead letter: the server hangs up on this topic, not sent
	codeBadTopic    = "PLT012" // dead letter: not a topic
	codeProtocol    = "PLT013" // not MQTT 3.1.1
	codeBadPayload  = "PLT014" // dead letter: not UTF-8, or not the JSON it should be
	codeFilter      = "PLT015" // a subscription is refused

	codeParts    = "SIZ001"
	codeTooLarge = "SIZ002"
	codeOneAlone = "SIZ003"
)

// A Failure is why a server could not be used.
type Failure struct {
	Code   string // "PLT002", …
	Server string // host:port
	Why    string // for a technician
	Err    error  // what the network said; may be nil

	Connack byte // the answer to a refused login, else 0
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Server + ": " + f.Why
	}
	return f.Server + ": " + f.Why + ": " + f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

// dialFailure puts an error of the dialer or of the TLS handshake into words.
func dialFailure(srv server, err error) *Failure {
	f := &Failure{Code: codeUnreachable, Server: srv.addr, Why: "no connection", Err: err}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Why, f.Err = "nothing listens there: is the server running, is the port right?", nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		f.Why, f.Err = fmt.Sprintf("no answer within %v: is the network or a firewall in the way?", loginTime), nil
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		f.Why, f.Err = "the name "+e.Name+" is not known: check it and the DNS of this machine", nil
	}
	if e, ok := errors.AsType[*handshakeError](err); ok && f.Err != nil {
		f.Code, f.Why, f.Err = codeTLS, tlsWhy(e.err), e.err
	}
	return f
}

// handshakeError is that of a TLS handshake.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// tlsWhy explains an error of a TLS handshake.
func tlsWhy(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is of an authority that is not known here: set platform.ca"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the certificate has expired or is not valid yet: check this machine's clock too"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || closedByPeer(err) {
		return "the answer is not TLS: is this the port of mqtt://?"
	}
	return "the TLS handshake failed"
}

// loginFailure explains a CONNACK return code, or a connection that ended before one came.
func loginFailure(srv server, returnCode byte, err error) *Failure {
	f := &Failure{Server: srv.addr}
	if returnCode <= 5 { // above are paho's own
		f.Connack = returnCode
	}
	switch returnCode {
	case 1:
		f.Code, f.Why = codeProtocol, "the server does not speak MQTT 3.1.1"
	case 2:
		f.Code, f.Why = codeClientID, "the client id is refused: check org and app"
	case 3:
		f.Code, f.Why = codeUnavailable, "the server says that it is not available"
	case 4:
		f.Code, f.Why = codeLogin, "login refused (api key or token)"
	case 5:
		f.Code, f.Why = codeLogin, "login refused (api key, token, or their right to log in)"
	default:
		f.Code, f.Why, f.Err = codeUnreachable, "the connection ended during the login", err
		switch {
		case closedByPeer(err) && srv.tls:
			f.Why, f.Err = "the server closed the connection during the login", nil
		case closedByPeer(err):
			f.Why, f.Err = "the server closed the connection during the login: is this the port of mqtts://?", nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.Why, f.Err = fmt.Sprintf("no answer to the login within %v", loginTime), nil
		}
		if e, ok := errors.AsType[*foreignError](err); ok {
			f.Code, f.Why, f.Err = codeProtocol, e.Error(), nil
		}
		if e, ok := errors.AsType[*net.OpError](err); ok && srv.tls && e.Op == "remote error" { // TLS 1.3 tells it only now
			f.Code, f.Why = codeTLS, "the server does not accept our certificate: check platform.cert and key"
		}
	}
	return f
}

// endOf explains how a connection to addr ended.
func endOf(end *drop, addr string) (code, why string) {
	if f, ok := errors.AsType[*Failure](end.cause); ok {
		return f.Code, f.Error()
	}
	if e, ok := errors.AsType[*foreignError](end.cause); ok {
		return codeProtocol, addr + ": " + e.Error()
	}
	switch {
	case errors.Is(end.cause, os.ErrDeadlineExceeded), errors.Is(end.cause, syscall.ETIMEDOUT):
		return codeSilent, addr + ": the server took nothing any more: " + end.cause.Error()
	case !end.byPeer:
		return codeClosed, addr + ": connection lost: " + end.cause.Error()
	case end.after != "":
		return codeClosed, addr + ": the server closed the connection right after it acknowledged an event on " + end.after + ": is that allowed?"
	}
	return codeClosed, addr + ": the server closed the connection"
}

// closedByPeer says whether the other side ended the connection, rather than time, the network or we.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
