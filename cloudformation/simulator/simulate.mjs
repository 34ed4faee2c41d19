// Judges requests of IAM. Each line of the input is a list of simulations, and each line of the
// output is the list of their verdicts: "Allowed", "ImplicitlyDenied", "ExplicitlyDenied" or an
// error. The tests in cloudformation/tests keep one such process.
//
//     node simulate.mjs FOLDER_WITH_NODE_MODULES
//
// The packages are in the Python environment `audit`, beside the node that runs this file.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(`${process.argv[2]}/`)
const { runSimulation } = require('@cloud-copilot/iam-simulate')

async function verdict(simulation) {
  const answer = await runSimulation(simulation, { simulationMode: 'Strict' })
  if (answer.resultType !== 'single') {
    return { result: answer.resultType, why: answer.errors ?? answer.results, ignored: [] }
  }
  const { analysis, ignoredContextKeys } = answer.result
  const deciding = [analysis.identityAnalysis, analysis.resourceAnalysis].flatMap((part) =>
    [...(part?.denyStatements ?? []), ...(part?.allowStatements ?? [])].map(
      (statement) => statement.explain?.identifier
    )
  )
  return { result: answer.overallResult, ignored: ignoredContextKeys ?? [], statements: deciding }
}

for await (const line of createInterface({ input: process.stdin })) {
  const verdicts = []
  for (const simulation of JSON.parse(line)) {
    verdicts.push(await verdict(simulation))
  }
  console.log(JSON.stringify(verdicts))
}
