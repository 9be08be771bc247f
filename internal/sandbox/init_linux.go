//go:build linux && (amd64 || arm64)

package sandbox

import "os"

// Init is what the binary does when it was executed by a driver, which IsInit tells. main calls it before anything else;
// it does not return.
func Init() {
	if len(os.Args) > 2 && os.Args[2] == spawnArg {
		spawnerMain()
	}
	plainInit()
}
