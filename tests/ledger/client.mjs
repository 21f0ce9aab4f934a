// A stranger's client: viem, on the URL and the key given. Deploys a cell, writes it, reads it, watches its blocks.
import { createPublicClient, createWalletClient, defineChain, http } from '../tools/node_modules/viem/_esm/index.js'
import { privateKeyToAccount } from '../tools/node_modules/viem/_esm/accounts/index.js'

const [url, key, creation] = process.argv.slice(2)
const chain = defineChain({ id: 7407, name: 'embedded', nativeCurrency: { name: 'x', symbol: 'x', decimals: 18 },
  rpcUrls: { default: { http: [url] } } })
const account = privateKeyToAccount(key)
const client = createPublicClient({ chain, transport: http(url, { batch: true }), pollingInterval: 20 })
const wallet = createWalletClient({ account, chain, transport: http(url) })
const word = (n) => '0x' + n.toString(16).padStart(64, '0')

const filter = await client.createBlockFilter()
const made = await client.waitForTransactionReceipt({ hash: await wallet.deployContract({ abi: [], bytecode: creation }) })
const to = made.contractAddress
const sent = await client.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ to, data: word(7) }) })
const authorization = await wallet.signAuthorization({ contractAddress: to, executor: 'self' })
const set = await client.waitForTransactionReceipt({
  hash: await wallet.sendTransaction({ to: account.address, data: word(9), authorizationList: [authorization] }) })
const [read, own, block, balance, code, logs, fees] = await Promise.all([
  client.call({ to }), client.getStorageAt({ address: account.address, slot: word(0) }),
  client.getBlock({ blockTag: 'latest', includeTransactions: true }), client.getBalance({ address: account.address }),
  client.getCode({ address: account.address }), client.getLogs({ fromBlock: 0n, toBlock: 'latest' }),
  client.estimateFeesPerGas()])
const pending = await client.getBlock({ blockTag: 'pending' })
let refused = ''
try { await client.call({ to: made.from, data: '0x01' }) } catch (error) { refused = error.shortMessage }
console.log(JSON.stringify({ status: [made.status, sent.status, set.status], type: set.type, read: read.data, own,
  number: Number(block.number), transactions: block.transactions.map((t) => t.hash === set.transactionHash), code,
  balance: String(balance), logs: logs.length, pending: Number(pending.number), fee: String(fees.maxFeePerGas), refused,
  told: (await client.getFilterChanges({ filter })).length, to }))
