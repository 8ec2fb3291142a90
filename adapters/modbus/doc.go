// Package modbus polls the units of one Modbus bus or host.
package modbus
