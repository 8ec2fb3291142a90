// Package serial reads lines and frames from a tty or a raw TCP stream.
package serial
