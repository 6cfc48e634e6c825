// Backs the node s up to the node t over go-qemu's socket monitor, and waits for the end.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

func run(monitor qmp.Monitor, command string, arguments map[string]interface{}) {
	line, err := json.Marshal(qmp.Command{Execute: command, Args: arguments})
	if err == nil {
		_, err = monitor.Run(line)
	}
	if err != nil {
		fmt.Println(command, err)
		os.Exit(1)
	}
}

func main() {
	monitor, err := qmp.NewSocketMonitor("unix", os.Args[1], 10*time.Second)
	if err == nil {
		err = monitor.Connect()
	}
	if err != nil {
		fmt.Println("connect", err)
		os.Exit(1)
	}
	defer monitor.Disconnect()
	events, err := monitor.Events(context.Background())
	if err != nil {
		fmt.Println("events", err)
		os.Exit(1)
	}
	// A reply waits behind events that nobody takes.
	completed := make(chan qmp.Event, 1)
	go func() {
		for event := range events {
			if event.Event == "BLOCK_JOB_COMPLETED" {
				completed <- event
			}
		}
	}()
	for name, file := range map[string]string{"s": "src.raw", "t": "t.raw"} {
		run(monitor, "blockdev-add", map[string]interface{}{
			"driver": "raw", "node-name": name,
			"file": map[string]interface{}{"driver": "file", "filename": file},
		})
	}
	run(monitor, "blockdev-backup", map[string]interface{}{
		"job-id": "j", "device": "s", "target": "t", "sync": "full",
	})
	event := <-completed
	fmt.Println("completed", event.Data["device"], event.Data["len"] == event.Data["offset"])
}
