// Command zip-bootstrap puts the program os.Args[1] into the zip os.Args[2] for
// AWS Lambda, the same bytes each time, unless that has more than 8 MB.
package main

import (
	"archive/zip"
	"bytes"
	"log"
	"os"
	"time"
)

const most = 8_000_000

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o755)
	entry, err := w.CreateHeader(h)
	check(err)
	_, err = entry.Write(text)
	check(err)
	check(w.Close())
	if zipped.Len() > most {
		log.Fatalf("%s would have %d bytes, more than %d", os.Args[2], zipped.Len(), most)
	}
	check(os.WriteFile(os.Args[2], zipped.Bytes(), 0o600))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
