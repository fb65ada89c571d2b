// The function with Node and `pg`, as its documentation shows it: a pool of one connection
// outside of the handler, with the server's certificate as the authority.
//
// The loop that polls the Lambda Runtime API is written here: AWS's own client takes minutes to
// compile, and starts no faster.

import { readFileSync } from "node:fs";
import http from "node:http";
import pg from "pg";

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 1,
  ssl: { ca: readFileSync(process.env.DATABASE_CA, "utf8") },
});

async function handler(event) {
  const id = event.queryStringParameters?.id;
  const { rows } = await pool.query("SELECT id, name FROM item WHERE id = $1", [id]);
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    // `pg` gives a bigint as text.
    body: JSON.stringify({ id: Number(rows[0].id), name: rows[0].name }),
  };
}

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ headers: response.headers, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

for (;;) {
  const next = await call("GET", "/2018-06-01/runtime/invocation/next");
  const answer = JSON.stringify(await handler(JSON.parse(next.text)));
  const id = next.headers["lambda-runtime-aws-request-id"];
  await call("POST", `/2018-06-01/runtime/invocation/${id}/response`, answer);
}
