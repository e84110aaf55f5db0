//! Commands of Redis that this store does not offer, with the reason and what to do instead. A client that asks for one
//! should not have to guess whether it has mistyped a name.
//!
//! They stand in no table of commands, so HELP and COMMAND do not show them, and a command that there is is found
//! without a look at them.

use super::failure::Failure;
use super::spec::is_name;

/// Commands that are refused for one reason.
struct Family {
    /// Why, and what to do instead.
    reason: &'static str,
    names: &'static [&'static str],
}

/// Why a command with this name is refused; `None` if Redis has none either, or it is not refused.
pub(super) fn refuse(name: &[u8]) -> Option<Failure> {
    let has = |family: &&Family| family.names.iter().any(|refused| is_name(refused, name));
    let family = FAMILIES.iter().find(has)?;
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    Some(Failure::error(format!("{name} is not offered: {}", family.reason)))
}

const FAMILIES: &[Family] = &[
    Family {
        reason: "a sum of floating-point numbers depends on their order, and nodes add in different orders; count in \
                 hundredths, say, with INCRBY",
        names: &["INCRBYFLOAT"],
    },
    Family {
        reason: "there are no scripts; send the commands themselves, in a pipeline or between MULTI and EXEC",
        names: &["EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "SCRIPT", "FUNCTION", "FCALL", "FCALL_RO"],
    },
    Family {
        reason: "values are strings, there are no lists; keep one as JSON in a value, or each element under its own \
                 key",
        names: &[
            "LINDEX",
            "LINSERT",
            "LLEN",
            "LMOVE",
            "LMPOP",
            "LPOP",
            "LPOS",
            "LPUSH",
            "LPUSHX",
            "LRANGE",
            "LREM",
            "LSET",
            "LTRIM",
            "RPOP",
            "RPOPLPUSH",
            "RPUSH",
            "RPUSHX",
        ],
    },
    Family {
        reason: "there are no lists and sorted sets, and no command waits for other clients' data; ask again from \
                 time to time",
        names: &["BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN"],
    },
    Family {
        reason: "values are strings, there are no sets; store each member under its own key, such as set:member, \
                 and list them with SCAN 0 MATCH set:*",
        names: &[
            "SADD",
            "SCARD",
            "SDIFF",
            "SDIFFSTORE",
            "SINTER",
            "SINTERCARD",
            "SINTERSTORE",
            "SISMEMBER",
            "SMEMBERS",
            "SMISMEMBER",
            "SMOVE",
            "SPOP",
            "SRANDMEMBER",
            "SREM",
            "SSCAN",
            "SUNION",
            "SUNIONSTORE",
        ],
    },
    Family {
        reason: "values are strings, there are no hashes; store each field under its own key, such as user:1:name, \
                 or all as JSON in a value",
        names: &[
            "HDEL",
            "HEXISTS",
            "HGET",
            "HGETALL",
            "HINCRBY",
            "HINCRBYFLOAT",
            "HKEYS",
            "HLEN",
            "HMGET",
            "HMSET",
            "HRANDFIELD",
            "HSCAN",
            "HSET",
            "HSETNX",
            "HSTRLEN",
            "HVALS",
        ],
    },
    Family {
        reason: "values are strings, there are no sorted sets; keep one as JSON in a value, or sort at the client",
        names: &[
            "ZADD",
            "ZCARD",
            "ZCOUNT",
            "ZDIFF",
            "ZDIFFSTORE",
            "ZINCRBY",
            "ZINTER",
            "ZINTERCARD",
            "ZINTERSTORE",
            "ZLEXCOUNT",
            "ZMPOP",
            "ZMSCORE",
            "ZPOPMAX",
            "ZPOPMIN",
            "ZRANDMEMBER",
            "ZRANGE",
            "ZRANGEBYLEX",
            "ZRANGEBYSCORE",
            "ZRANGESTORE",
            "ZRANK",
            "ZREM",
            "ZREMRANGEBYLEX",
            "ZREMRANGEBYRANK",
            "ZREMRANGEBYSCORE",
            "ZREVRANGE",
            "ZREVRANGEBYLEX",
            "ZREVRANGEBYSCORE",
            "ZREVRANK",
            "ZSCAN",
            "ZSCORE",
            "ZUNION",
            "ZUNIONSTORE",
        ],
    },
    Family {
        reason: "values are strings, there are no streams; store each entry under its own key, with the time in its \
                 name",
        names: &[
            "XACK",
            "XADD",
            "XAUTOCLAIM",
            "XCLAIM",
            "XDEL",
            "XGROUP",
            "XINFO",
            "XLEN",
            "XPENDING",
            "XRANGE",
            "XREAD",
            "XREADGROUP",
            "XREVRANGE",
            "XSETID",
            "XTRIM",
        ],
    },
    Family {
        reason: "there are no positions; store them as text, and compute at the client",
        names: &[
            "GEOADD",
            "GEODIST",
            "GEOHASH",
            "GEOPOS",
            "GEORADIUS",
            "GEORADIUS_RO",
            "GEORADIUSBYMEMBER",
            "GEORADIUSBYMEMBER_RO",
            "GEOSEARCH",
            "GEOSEARCHSTORE",
        ],
    },
    Family {
        reason: "values are not read as bits; store a key for each flag, or GET the value and look at the client",
        names: &["BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITOP", "BITPOS", "GETBIT", "SETBIT"],
    },
    Family {
        reason: "there are no HyperLogLogs; store each element under its own key, and count at the client",
        names: &["PFADD", "PFCOUNT", "PFDEBUG", "PFMERGE", "PFSELFTEST"],
    },
    Family {
        reason: "there are no channels; write a key, and read it on the other side (WAITFOR waits until a node \
                 holds it)",
        names: &[
            "PSUBSCRIBE",
            "PUBLISH",
            "PUBSUB",
            "PUNSUBSCRIBE",
            "SPUBLISH",
            "SSUBSCRIBE",
            "SUBSCRIBE",
            "SUNSUBSCRIBE",
            "UNSUBSCRIBE",
        ],
    },
    Family {
        reason: "commands are neither shown nor timed here; look at INFO, and start the node with RUST_LOG=debug",
        names: &["DEBUG", "LATENCY", "MONITOR", "SLOWLOG"],
    },
    Family {
        reason: "there is one database, number 0; put a prefix before the keys instead",
        names: &["MOVE", "SWAPDB"],
    },
    Family {
        reason: "values do not leave in Redis' own format; GET the value here, and SET it there",
        names: &["DUMP", "MIGRATE", "RESTORE", "RESTORE-ASKING"],
    },
    Family { reason: "there are no lists and sets to sort; sort at the client", names: &["SORT", "SORT_RO"] },
    Family {
        reason: "this is no Redis Cluster, every node holds every key; connect to any node as to a single Redis \
                 server",
        names: &["ASKING", "CLUSTER", "READONLY", "READWRITE"],
    },
    Family {
        reason: "every node takes writes, and learns its peers when it starts; start it with --peer, and look at \
                 INFO peers",
        names: &["FAILOVER", "REPLICAOF", "ROLE", "SLAVEOF"],
    },
    Family {
        reason: "there are no users, but secrets of clients and of operators (--secret-file and \
                 --operator-secret-file of a node); type AUTH and one of them",
        names: &["ACL"],
    },
    Family { reason: "this store loads no modules; type HELP for what it can do", names: &["MODULE"] },
    Family {
        reason: "a snapshot is written in the background; start the node with --data, and type BGSAVE",
        names: &["BGREWRITEAOF", "SAVE"],
    },
    Family {
        reason: "clients do not stop a node; send SIGTERM to its process, whose number INFO server shows",
        names: &["SHUTDOWN"],
    },
];

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    #[test]
    fn a_refusal_names_the_command_and_is_one_line_that_fits_a_screen() {
        for family in FAMILIES {
            for name in family.names {
                let said = refuse(name.to_ascii_lowercase().as_bytes()).expect("it is refused").message;
                assert!(said.starts_with(&format!("{name} is not offered: ")) && said.len() < 180, "{said}");
                assert_eq!(*name, name.to_ascii_uppercase());
            }
        }
        assert_eq!(refuse(b"FROB"), None);
    }

    #[test]
    fn no_command_is_both_offered_and_refused() {
        for name in FAMILIES.iter().flat_map(|family| family.names) {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }
}
