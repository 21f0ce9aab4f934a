// Digital Bazaar's Data Integrity over the documents on standard input: node data_integrity.mjs sign|verify|status
// sign: a credential made with a fixed key for each cryptosuite. verify: whether its library upholds a document, whose
// keys come as DID documents beside it. status: the bit of a status list's text.
import {readFileSync} from 'node:fs';
import * as EcdsaMultikey from '@digitalbazaar/ecdsa-multikey';
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey';
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import * as ecdsa from '@digitalbazaar/ecdsa-jcs-2019-cryptosuite';
import * as eddsa from '@digitalbazaar/eddsa-jcs-2022-cryptosuite';
import {BitstringStatusList} from '@digitalbazaar/vc-bitstring-status-list';
import jsigs from 'jsonld-signatures';

const {AssertionProofPurpose, AuthenticationProofPurpose} = jsigs.purposes;
const given = JSON.parse(readFileSync(0, 'utf8'));

function loader(methods) {
  return async url => {
    if(methods[url] === undefined) {
      throw new Error(`not here: ${url}`);
    }
    return {document: methods[url], documentUrl: url, contextUrl: null};
  };
}

async function sign() {
  const made = {};
  for(const [curve, suite] of [['Ed25519', eddsa], ['P-256', ecdsa], ['P-384', ecdsa]]) {
    const pair = curve === 'Ed25519' ?
      await Ed25519Multikey.generate() : await EcdsaMultikey.generate({curve});
    const did = `did:key:${pair.publicKeyMultibase}`;
    pair.id = `${did}#${pair.publicKeyMultibase}`;
    pair.controller = did;
    const document = await jsigs.sign({...given.document, issuer: did}, {
      suite: new DataIntegrityProof({signer: pair.signer(), cryptosuite: suite.createSignCryptosuite(),
        date: given.date}),
      purpose: new AssertionProofPurpose(), documentLoader: loader({})
    });
    made[curve] = document;
  }
  return made;
}

async function verify() {
  const {document, methods, purpose, challenge, domain} = given;
  const result = await jsigs.verify(document, {
    suite: [new DataIntegrityProof({cryptosuite: eddsa.createVerifyCryptosuite()})],
    purpose: purpose === 'authentication' ?
      new AuthenticationProofPurpose({challenge, domain}) : new AssertionProofPurpose(),
    documentLoader: loader(methods)
  });
  return {verified: result.verified, error: String(result.error?.errors?.[0] ?? result.error ?? '')};
}

async function status() {
  const list = await BitstringStatusList.decode({encodedList: given.encodedList});
  const ours = new BitstringStatusList({length: 131072});
  for(const index of given.indexes) {
    ours.setStatus(index, true);
  }
  return {length: list.length, set: given.asked.filter(index => list.getStatus(index)), made: await ours.encode()};
}

console.log(JSON.stringify(await {sign, verify, status}[process.argv[2]]()));
