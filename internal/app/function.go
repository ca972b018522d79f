package app

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
)

// testFunction runs a function of the API with an event. Key value stores are
// not there: a function that asks for one fails, and says so.
func testFunction(ctx context.Context, t api.FunctionTest) (api.FunctionOutcome, error) {
	event, err := function.ParseEvent(t.Event)
	if err != nil {
		return api.FunctionOutcome{}, fmt.Errorf("%w: %w", api.ErrEvent, err)
	}
	program, err := function.Compile(t.Name, t.Code, function.Runtime(t.Runtime))
	if err != nil {
		return api.FunctionOutcome{Error: err.Error()}, nil
	}
	result, err := program.Run(ctx, event, function.Options{Edge: function.Edge{Name: "LCL50", ServerIP: "127.0.0.1", Region: "local"}})
	outcome := api.FunctionOutcome{Utilization: result.Utilization, Logs: result.Logs}
	if err != nil {
		outcome.Error = err.Error()
	}
	output, err := result.Output()
	if err != nil && outcome.Error == "" {
		outcome.Error = err.Error()
	}
	outcome.Output = string(output)
	return outcome, nil
}
