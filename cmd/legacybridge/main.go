// Command legacybridge connects serial, Modbus and CSV equipment to an MQTT platform.
package main

func main() {}
