// Streams one reply: stream TARGET PROMPT
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "lstmserve.example/stream/lstmservev1"
)

const deadline = 10 * time.Second

var errIncomplete = errors.New("the stream ended without a completion")

func dial(target string) (*grpc.ClientConn, error) {
	file := os.Getenv("LSTMSERVE_CA_FILE")
	if file == "" {
		return grpc.Dial(target, grpc.WithInsecure())
	}
	roots, err := credentials.NewClientTLSFromFile(file, "")
	if err != nil {
		return nil, err
	}
	return grpc.Dial(target, grpc.WithTransportCredentials(roots))
}

func newRequestID() string {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return hex.EncodeToString(random)
}

func withMetadata(ctx context.Context, requestID string) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", requestID)
	if token := os.Getenv("LSTMSERVE_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx
}

func show(response *pb.GenerateResponse) {
	switch event := response.Event.(type) {
	case *pb.GenerateResponse_Started:
		started := event.Started
		fmt.Fprintf(os.Stderr, "%s %s, seed %d\n", started.Model, started.ModelVersion, started.Seed)
	case *pb.GenerateResponse_Chunk:
		fmt.Print(event.Chunk.Text)
	case *pb.GenerateResponse_Completion:
		completion := event.Completion
		fmt.Fprintf(os.Stderr, "\n%s, %d tokens\n", completion.FinishReason, completion.Usage.GeneratedTokens)
	}
}

func stream(ctx context.Context, client pb.GenerationServiceClient, prompt string) error {
	events, err := client.Generate(ctx, &pb.GenerateRequest{
		Input:    &pb.GenerateRequest_Prompt{Prompt: prompt},
		Sampling: &pb.SamplingParams{Temperature: proto.Float32(0.8), Seed: proto.Uint64(7)},
		Stopping: &pb.StoppingCriteria{MaxTokens: proto.Uint32(64)},
	})
	if err != nil {
		return err
	}
	isComplete := false
	for {
		event, err := events.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		isComplete = event.GetCompletion() != nil
		show(event)
	}
	if !isComplete {
		return errIncomplete
	}
	return nil
}

// explain tells the status, every wrong field, and when to come back.
func explain(err error, requestID string) {
	failed := status.Convert(err)
	fmt.Fprintf(os.Stderr, "%s: %s\n", failed.Code(), failed.Message())
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				fmt.Fprintf(os.Stderr, "  %s %s\n", violation.Field, violation.Description)
			}
		case *errdetails.RetryInfo:
			fmt.Fprintf(os.Stderr, "  again in %d ms\n", detail.RetryDelay.AsDuration().Milliseconds())
		}
	}
	fmt.Fprintf(os.Stderr, "request id %s\n", requestID)
}

func run(target, prompt string) error {
	connection, err := dial(target)
	if err != nil {
		return err
	}
	defer connection.Close()
	requestID := newRequestID()
	ctx, cancel := context.WithTimeout(withMetadata(context.Background(), requestID), deadline)
	defer cancel()
	if err := stream(ctx, pb.NewGenerationServiceClient(connection), prompt); err != nil {
		explain(err, requestID)
		return err
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: stream TARGET PROMPT")
		os.Exit(2)
	}
	if run(os.Args[1], os.Args[2]) != nil {
		os.Exit(1)
	}
}
