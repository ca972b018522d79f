// Command freshet-lambda is freshet as a function of AWS Lambda: the file bootstrap
// of a zip for the runtime provided.al2023.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/freshet/freshet/internal/lambda"
)

func main() {
	if err := lambda.Start(context.Background(), os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "freshet-lambda:", err)
		os.Exit(1)
	}
}
