// Sends statements with @xapi/xapi as a page does, and prints what the receiver answered. Arguments: endpoint, user, password.
const { default: XAPI } = require("@xapi/xapi");

const [endpoint, user, password] = process.argv.slice(2);
const client = new XAPI({ endpoint, auth: XAPI.toBasicAuth(user, password), version: "1.0.3" });

function statement(name) {
  return {
    actor: { objectType: "Agent", name, mbox: `mailto:${name}@school.example` },
    verb: XAPI.Verbs.PASSED,
    object: { objectType: "Activity", id: "https://lms.example/q/1" },
    result: { success: true },
  };
}

async function main() {
  const about = await client.getAbout();
  const one = await client.sendStatement({ statement: statement("ann") });
  const many = await client.sendStatements({ statements: [statement("ben"), statement("cem")] });
  const found = await client.getStatement({ statementId: many.data[0] });
  const refused = await client
    .sendStatement({ statement: { ...statement("dan"), id: many.data[0] } })
    .then(() => 200, (error) => error.response.status);
  const answers = {
    versions: about.data.version,
    ids: [...one.data, ...many.data],
    found: found.data.actor.name,
    refused,
  };
  console.log(JSON.stringify(answers));
}

main();
