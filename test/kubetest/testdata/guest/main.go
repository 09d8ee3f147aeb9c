// Command guest is the program of a pod that tests the cluster it is in.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]...); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(command string, args ...string) error {
	switch command {
	case "serve": // its name, over HTTP
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		fmt.Println("serving as", name)
		return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	case "id":
		groups, err := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
		return err
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o600)
	case "read":
		content, err := os.ReadFile(args[0])
		fmt.Print(string(content))
		return err
	case "lookup":
		addresses, err := net.LookupHost(args[0])
		slices.Sort(addresses)
		fmt.Println(addresses)
		return err
	case "get":
		resp, err := http.Get(args[0])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	default:
		return fmt.Errorf("no command %q", command)
	}
}
