// SPDX-License-Identifier: Apache-2.0

// A plain server in Go with a map, to measure cache-extension beside it: it has one value and answers everybody.
package main

import (
	"log"
	"net/http"
	"os"
	"sync"
)

func main() {
	var lock sync.RWMutex
	values := map[string]string{os.Args[2]: os.Args[3]}
	http.HandleFunc("/parameters", func(answer http.ResponseWriter, request *http.Request) {
		lock.RLock()
		value, found := values[request.URL.Query().Get("name")]
		lock.RUnlock()
		if !found {
			answer.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = answer.Write([]byte(value))
	})
	http.HandleFunc("/ping", func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = answer.Write([]byte("pong"))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
