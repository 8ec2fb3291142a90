// Package sim is simulated equipment for the demo, the examples and the tests.
package sim
