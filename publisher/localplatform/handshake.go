package localplatform

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"legacybridge/publisher/wiotp"
)

const (
	ruleTLS = "tls"
	// tlsRecord is the first byte of a client that speaks TLS.
	tlsRecord byte = 0x16
)

var errTLSToPlain = &wiotp.Refusal{Rule: ruleTLS, Code: wiotp.BadData,
	Why: "the client speaks TLS and this platform does not: give [local] cert and key, or let the client connect without TLS"}

// handshake finishes that of TLS, where it is spoken, within the time for the login.
func (c *conn) handshake() *wiotp.Refusal {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	err := t.Handshake()
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case err == nil:
		return nil
	case plain:
		return &wiotp.Refusal{Rule: ruleTLS, Code: wiotp.TLSFailed,
			Why: "the client speaks without TLS and this platform with it: let it connect with mqtts:// or https://"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &wiotp.Refusal{Rule: "silent", Code: wiotp.NoData, Why: "no complete TLS handshake in time"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return &wiotp.Refusal{Rule: "silent", Code: wiotp.TLSFailed, Why: "closed during the TLS handshake"}
	}
	return &wiotp.Refusal{Rule: ruleTLS, Code: wiotp.TLSFailed, Why: "TLS handshake failed: " + err.Error()}
}
