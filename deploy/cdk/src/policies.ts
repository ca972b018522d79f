import * as fs from 'node:fs';
import * as path from 'node:path';

/** A document of IAM's policy language. */
export interface Policy {
  readonly Version: string;
  readonly Statement: Statement[];
}

interface Statement {
  readonly Sid: string;
  readonly Resource?: string[];
}

/** What stands in the place of placeholders. Tokens of the CDK are text like any other. */
export interface Words {
  readonly partition: string;
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly bucket: string;
  readonly table: string;
}

/** What the function is to be allowed, beyond its queue and its log. */
export interface Needs {
  readonly distributions: string[];
  readonly table: boolean;
  readonly configuration?: string;
  readonly codePipeline: boolean;
  readonly repositories: string[];
}

/** The parts of the role's policy in their order, and what each is for; a part for nothing is left out. */
function parts(needs: Needs): [string, string[]][] {
  const tenants = needs.distributions.filter((id) => id.startsWith('dt_'));
  const own = needs.distributions.filter((id) => !id.startsWith('dt_'));
  const found = needs.distributions.length === 0;
  const configuration = needs.configuration ?? '';
  const once = (wanted: boolean): string[] => (wanted ? [''] : []);
  const after = (scheme: RegExp): string[] => (scheme.test(configuration) ? [configuration.replace(scheme, '')] : []);
  return [
    ['invalidate', found ? ['*'] : sorted(own)],
    ['invalidate-tenants', sorted(tenants)],
    ['tenants-distributions', once(tenants.length > 0)],
    ['cache-policies', once(true)],
    ['find-distributions', once(found)],
    ['log', once(true)],
    ['queue-source', once(true)],
    ['quota', once(needs.table)],
    ['configuration-ssm', after(/^ssm:\/?/)],
    ['configuration-s3', after(/^s3:\/\//)],
    ['pipeline', once(needs.codePipeline)],
    ['repository', sorted(needs.repositories)],
  ];
}

function sorted(names: string[]): string[] {
  return [...new Set(names)].sort();
}

/** All that the function may do. */
export function rolePolicy(words: Words, needs: Needs): Policy {
  const statements: Statement[] = [];
  for (const [part, names] of parts(needs)) {
    const each = names.map((of) => read(part, { ...words, of }).Statement[0]!);
    if (each.length > 0) {
      statements.push({ ...each[0]!, Resource: [...new Set(each.flatMap((s) => s.Resource ?? []))] });
    }
  }
  return { Version: '2012-10-17', Statement: statements };
}

/** Lets Lambda take the role. */
export function trustPolicy(words: Words): Policy {
  return read('trust', { ...words });
}

/** Lets the bucket put messages into the queue. */
export function queuePolicy(words: Words): Policy {
  return read('queue', { ...words });
}

/** A document of deploy/policies, which npm pack puts beside the code. */
function read(name: string, words: Record<string, string>): Policy {
  const text = fs.readFileSync(path.join(folder(), `${name}.json`), 'utf8');
  return JSON.parse(
    text.replace(/\$\{(\w+)\}/g, (_, word: string) => {
      const value = words[word];
      if (value === undefined) {
        throw new Error(`${name}.json: nothing is known of \${${word}}`);
      }
      return JSON.stringify(value).slice(1, -1);
    }),
  ) as Policy;
}

function folder(): string {
  const candidates = ['../../policies', '../../../policies'].map((p) => path.join(__dirname, p));
  const there = candidates.find((p) => fs.existsSync(path.join(p, 'trust.json')));
  if (there === undefined) {
    throw new Error(`freshet's policies are in none of ${candidates.join(', ')}`);
  }
  return there;
}
