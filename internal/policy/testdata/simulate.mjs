// Evaluates the requests of standard input, one JSON object a line, with iam-simulate, and writes one decision a line.
// Its argument is the directory of the package.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const root = process.argv[2]
const load = (path) => import(pathToFileURL(`${root}/${path}`).href)
const { authorize } = await load('iam-simulate/dist/esm/core_engine/CoreSimulatorEngine.js')
const { AwsRequestImpl } = await load('iam-simulate/dist/esm/request/request.js')
const { RequestContextImpl } = await load('iam-simulate/dist/esm/requestContext.js')
const { DiscoveryContextKeyConstraints } = await load('iam-simulate/dist/esm/context_keys/discoveryContextKeyConstraints.js')
const { loadPolicy } = await load('iam-policy/dist/esm/index.js')

const everything = { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } }
const organization = (extra) => [{ orgIdentifier: 'o', policies: [loadPolicy({ ...everything, Statement: { ...everything.Statement, ...extra } }, { name: 'all' })] }]

const out = []
for await (const line of createInterface({ input: process.stdin })) {
  const c = JSON.parse(line)
  const named = (policies) => (policies ?? []).map((p, i) => loadPolicy(p, { name: `p${i}` }))
  try {
    const analysis = authorize({
      request: new AwsRequestImpl(c.principal, { resource: c.resource, accountId: c.account }, c.action, new RequestContextImpl(c.context)),
      sessionPolicy: c.session ? loadPolicy(c.session, { name: 'session' }) : undefined,
      identityPolicies: named(c.identity),
      serviceControlPolicies: organization({}),
      resourceControlPolicies: organization({ Principal: '*' }),
      resourcePolicy: c.resourcePolicy ? loadPolicy(c.resourcePolicy, { name: 'resource' }) : undefined,
      permissionBoundaries: c.boundary ? named([c.boundary]) : undefined,
      vpcEndpointPolicies: undefined,
      simulationParameters: { simulationMode: 'Strict', discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]) },
    })
    out.push(analysis.result)
  } catch (e) {
    out.push(`error ${String(e).replaceAll('\n', ' ')}`)
  }
}
process.stdout.write(out.join('\n') + '\n')
