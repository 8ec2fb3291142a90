package config_test

import (
	"fmt"
	"os"
	"path/filepath"

	"legacybridge/config"
)

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "legacybridge.toml")
	text := `schema = 1

[links.plc]
modbus_tcp = "192.168.10.21:502"

[devices.press-7]
type = "press"
link = "plc"

[devices.press-7.points]
oil_temp = { holding = 10, type = "i16", scael = 0.1, unit = "°C" }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	cfg, problems := config.Load(file, config.Options{})
	fmt.Println("can be run:", cfg != nil)
	if err := problems.Write(os.Stdout, "full", false); err != nil {
		fmt.Println(err)
	}
	// Output:
	// can be run: false
	// error[KEY001]: unknown key "scael"
	//   --> legacybridge.toml:11:42
	//    |
	// 11 | oil_temp = { holding = 10, type = "i16", scael = 0.1, unit = "°C" }
	//    |                                          ^^^^^ did you mean "scale"?
	//    = note: without it the value would be sent ten times too large
	//
	// 1 error in 1 file. Nothing was changed.
}
