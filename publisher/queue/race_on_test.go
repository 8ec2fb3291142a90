//go:build race

package queue_test

// The race detector makes a sequence of a model ten times as long.
const race = true
