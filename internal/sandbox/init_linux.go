//go:build linux && (amd64 || arm64)

package sandbox

import "os"

// Init is what the binary does when its first argument is InitArg. main calls it before anything else; it does not
// return.
func Init() {
	if len(os.Args) > 2 && os.Args[2] == spawnArg {
		spawnerMain()
	}
	plainInit()
}
