// Redis in memory, for Argo CD to keep its caches in: `redis 127.0.0.1:6379`.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: redis HOST:PORT")
		os.Exit(2)
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Its clock stands still by itself, and no entry would ever expire.
	for now := range time.Tick(time.Second) {
		server.SetTime(now)
		server.FastForward(time.Second)
	}
}
