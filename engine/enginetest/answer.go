package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"strongroom/engine"
	"strongroom/internal/schema"
)

// CheckAnswer fails the test if resp, which op answered, is not what route says that it answers. Where route says nothing,
// anything will do.
func CheckAnswer(tb testing.TB, route *engine.Route, op engine.Operation, resp *engine.Response) {
	tb.Helper()
	if err := differs(route, op, resp); err != nil {
		tb.Errorf("%s %s does not answer what its route says (Answers): %v", op, route.Path, err)
	}
}

// differs says how resp is not what route says.
func differs(route *engine.Route, op engine.Operation, resp *engine.Response) error {
	answer, said := route.Answer(op)
	if !said || answer == nil || resp != nil && (resp.Missing || resp.Status != 0) {
		return nil
	}
	if maybe, ok := answer.(engine.Maybe); ok {
		if resp == nil || resp.Data == nil && resp.Raw == nil {
			return nil
		}
		answer = maybe.Data
	}
	switch answer.(type) {
	case engine.Never:
		return errors.New("it succeeds")
	case engine.Accepted:
		if resp == nil || !resp.Accepted || resp.Data != nil {
			return errors.New("it does not answer that the work goes on")
		}
		return nil
	case engine.Nothing, engine.Envelope:
		if resp != nil && (resp.Data != nil || resp.Raw != nil) {
			return errors.New("it answers something")
		}
		return nil
	}
	if resp == nil {
		return errors.New("it answers nothing")
	}
	stream, streamed := answer.(engine.Stream)
	bare, isBare := answer.(engine.Bare)
	if (streamed || isBare) != (resp.Raw != nil) {
		return errors.New("its body stands in an envelope, or should")
	}
	book := schema.NewBook()
	switch {
	case streamed && stream != "*/*" && resp.Raw.ContentType != string(stream):
		return fmt.Errorf("its media type is %s", resp.Raw.ContentType)
	case streamed, isBare && resp.Raw.ContentType != "application/json":
		return nil
	case isBare:
		return book.Check(book.Of(bare.Data), resp.Raw.Body)
	}
	top, atTop := answer.(engine.TopLevel)
	if atTop != resp.TopLevel {
		return errors.New("its members stand beside data, or should")
	}
	if atTop {
		answer = top.Data
	}
	text, err := json.Marshal(resp.Data)
	if err != nil {
		return err
	}
	return book.Check(book.Of(answer), text)
}
