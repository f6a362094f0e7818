// Quote prints the latest price of a symbol, or why there is none:
//
//	go run ./examples/quote localhost:50051 AAPL
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pricev1 "github.com/finstage/finstage/clients/go/gen/finstage/price/v1"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: quote HOST:PORT SYMBOL")
		os.Exit(2)
	}
	line, err := quote(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
	fmt.Println(line)
}

func quote(target, symbol string) (string, error) {
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := pricev1.NewPriceServiceClient(connection).GetQuote(ctx, &pricev1.GetQuoteRequest{Symbol: symbol})
	if err != nil {
		return "", err
	}
	found := reply.GetQuote()
	return fmt.Sprintf("%s %g %s", found.GetSymbol(), found.GetPrice(), found.GetCurrency()), nil
}

// explain writes an error with its details: the reason that a program may act on, and what goes with it.
func explain(err error) string {
	failed := status.Convert(err)
	text := fmt.Sprintf("%s: %s", failed.Code(), failed.Message())
	for _, detail := range failed.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			text += "\nreason: " + d.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range d.GetFieldViolations() {
				text += fmt.Sprintf("\nfield %s: %s", violation.GetField(), violation.GetDescription())
			}
		case *errdetails.RetryInfo:
			text += fmt.Sprintf("\ntry again in %s", d.GetRetryDelay().AsDuration())
		}
	}
	return text
}
