package wiotp

import "log/slog"

// A Token is a secret: it prints, logs and marshals as three asterisks.
type Token string

const masked = "***"

// Reveal returns the secret itself, for the one place that sends or compares it.
func (t Token) Reveal() string { return string(t) }

func (Token) String() string               { return masked }
func (Token) GoString() string             { return masked }
func (Token) LogValue() slog.Value         { return slog.StringValue(masked) }
func (Token) MarshalText() ([]byte, error) { return []byte(masked), nil }
