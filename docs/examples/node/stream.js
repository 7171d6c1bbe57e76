// Streams one reply: node stream.js TARGET PROMPT
'use strict';

const { randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const PROTOS = path.join(__dirname, '..', '..', '..', 'protos');
const DEADLINE_MS = 10_000;

// the server's own files, read when the program starts: nothing is generated or copied
const definition = protoLoader.loadSync('lstmserve/v1/generation_service.proto', {
  includeDirs: [PROTOS],
  keepCase: true, // names as in the .proto files
  longs: String, // a seed may be above 2^53
  enums: String,
  oneofs: true, // event.event tells which one is set
  defaults: true, // a chunk may have no text yet
});
const { GenerationService } = grpc.loadPackageDefinition(definition).lstmserve.v1;

function credentials() {
  const file = process.env.LSTMSERVE_CA_FILE;
  return file ? grpc.credentials.createSsl(readFileSync(file)) : grpc.credentials.createInsecure();
}

function metadata() {
  const entries = new grpc.Metadata();
  entries.set('x-request-id', randomUUID());
  if (process.env.LSTMSERVE_TOKEN) {
    entries.set('authorization', `Bearer ${process.env.LSTMSERVE_TOKEN}`);
  }
  return entries;
}

function show(event) {
  if (event.event === 'started') {
    console.error(`${event.started.model} ${event.started.model_version}, seed ${event.started.seed}`);
  } else if (event.event === 'chunk') {
    process.stdout.write(event.chunk.text);
  } else {
    const { finish_reason, usage } = event.completion;
    console.error(`\n${finish_reason}, ${usage.generated_tokens} tokens`);
  }
}

function main(target, prompt) {
  const client = new GenerationService(target, credentials());
  const request = {
    prompt,
    sampling: { temperature: 0.8, seed: '7' },
    stopping: { max_tokens: 64 },
  };
  const sent = metadata();
  const stream = client.Generate(request, sent, { deadline: Date.now() + DEADLINE_MS });
  let isComplete = false;
  stream.on('data', (event) => {
    isComplete ||= event.event === 'completion';
    show(event);
  });
  stream.on('error', (error) => {
    // INVALID_ARGUMENT is the caller's to mend; after UNAVAILABLE or RESOURCE_EXHAUSTED try again
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    console.error(`request id ${sent.get('x-request-id')[0]}`);
    process.exitCode = 1;
  });
  stream.on('end', () => {
    // a stream that ends well without a completion is broken, too
    if (!isComplete) process.exitCode = 1;
    client.close();
  });
}

if (process.argv.length !== 4) {
  console.error('usage: node stream.js TARGET PROMPT');
  process.exit(2);
}
main(process.argv[2], process.argv[3]);
