// One plain sentence for each kind of message. It is read from the words in which the nodes tell a message.

const SENTENCES = {
  PEER: ({ from, to }) => `${from} tells ${to} who it is, and its time.`,

  DIGEST({ from, to, request }) {
    const branches = request.replace(/^DIGEST ?/, "");
    if (!branches) return `${from} asks ${to} for the hash of all that it holds.`;
    if (branches === '""') return `${from} asks ${to} for the hashes of the 16 first branches: the two differ.`;
    const n = howMany(branches);
    return `${from} asks ${to} for the hashes below ${n === 1 ? `branch ${branches}` : `${n} branches that differ`}.`;
  },

  LEAF({ from, to, request, reply }) {
    const leaves = request.replace(/^LEAF /, "");
    const where = howMany(leaves) === 1 ? `leaf ${leaves.split(" ")[0]}` : `${howMany(leaves)} leaves`;
    const found = reply.split("; ").map(part => {
      const [, lacking] = /^lacks (\d+)$/.exec(part) || [];
      if (lacking) return `lacks ${count(+lacking, "entry", "entries")}`;
      if (part === "no difference") return "finds no difference";
      const [, all] = /… (\d+) in all/.exec(part) || [];
      const n = all ? +all : (part.match(/\+\d+@\d+/g) || []).length;
      return part.startsWith("has ")
        ? `names ${count(n, "key")} that it holds otherwise`
        : `sends ${count(n, "entry that is", "entries that are")} newer`;
    });
    return `${from} says what it has in ${where}; ${to} ${found.join(", and ")}.`;
  },

  FETCH: ({ from, to, request }) => `${from} asks ${to} for what it holds of ${request.replace(/^FETCH /, "")}.`,

  PROPAGATE({ from, to, request, requests, reply }) {
    const [, what, key] = /^PROPAGATE (SET|DEL) (\S+)/.exec(request) || [];
    if (!what) return `${from} sends ${to} ${count(requests, "entry", "entries")}.`;
    const entry = what === "DEL" ? `the delete of ${key}` : key;
    const more = requests > 1 ? ` and ${count(requests - 1, "other entry", "other entries")}` : "";
    const first = requests > 1 ? "the first" : "it";
    const taken = reply.startsWith("1") ? `takes ${first} over` : `has ${first} already, or something newer`;
    return `${from} sends ${entry}${more}; ${to} ${taken}.`;
  },

  CONFIRM({ from, to, request }) {
    const [, arrivals] = /^CONFIRM (\d+)/.exec(request) || [];
    return `${from} holds all that ${to} held${arrivals ? ` up to its entry no. ${arrivals}` : ""}.`;
  },
};

/** How many items a list in words has: it says so if it does not show all. */
function howMany(list) {
  const [, all] = /… (\d+) in all/.exec(list) || [];
  return all ? +all : list.split(", ").length;
}

/** What a message is about. */
function sentence(message) {
  if (!message) return "";
  if (message.failed) return `${message.from} sends ${message.kind} to ${message.to}; no reply has come.`;
  if (!message.reply || message.reply.startsWith("("))
    return `${message.from} sends ${message.to} ${message.kind} × ${message.requests.toLocaleString("en")}.`;
  if (/^(REFUSED|OLDCOPY)/.test(message.reply)) return `${message.to} refuses what ${message.from} asks.`;
  return SENTENCES[message.kind](message);
}
