//! `codec datasets`: documents, files and statuses.

use codec_tests::picture::photo;

use crate::sandbox;

#[test]
fn stats_describe_and_list_what_is_unreadable() {
    let sandbox = sandbox();
    sandbox.put_picture("in/a.png", &photo(40, 30));
    sandbox.put_picture("in/sub/b.png", &photo(80, 90));
    sandbox.put("in/bad.jpg", b"no picture");
    let run = sandbox.run("datasets stats in").ends_in(0);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(
        text.contains("2 pictures") && text.contains("1 unreadable"),
        "{text}"
    );
    assert!(text.contains("shorter side 30 to 80"), "{text}");
    let run = sandbox.run("datasets stats in --json").ends_in(0);
    let [document] = run.json().try_into().unwrap();
    assert_eq!(document["schema"], "codec.datasets.stats/1");
    assert_eq!(document["images"]["items"], 2);
    assert_eq!(document["unreadable"].as_array().unwrap().len(), 1);
    assert!(document["audio"].is_null());
    sandbox.run("datasets stats missing").ends_in(1);
    sandbox.run("datasets stats none-*.tar").ends_in(2);
    sandbox.run("datasets stats in --kind video").ends_in(2);
}

#[test]
fn verify_fails_when_something_is_bad() {
    let sandbox = sandbox();
    sandbox.put_picture("in/a.png", &photo(40, 30));
    sandbox.run("datasets verify in").ends_in(0);
    let wrong = format!("{}  in/a.png\n", "0".repeat(64));
    sandbox.put("SHA256SUMS", wrong.as_bytes());
    let run = sandbox
        .run("datasets verify in --manifest SHA256SUMS --json")
        .ends_in(1);
    assert!(
        run.stderr.contains("codec: in/a.png: sha256 "),
        "{}",
        run.stderr
    );
    let [document] = run.json().try_into().unwrap();
    assert_eq!(document["schema"], "codec.datasets.verify/1");
    assert_eq!(
        (&document["decoded"], &document["matched"]),
        (&1.into(), &0.into())
    );
    assert_eq!(document["bad"].as_array().unwrap().len(), 1);
    sandbox.put("SHA256SUMS", b"nonsense\n");
    let run = sandbox
        .run("datasets verify in --manifest SHA256SUMS")
        .ends_in(1);
    assert!(run.stderr.contains("SHA256SUMS, line 1"), "{}", run.stderr);
    sandbox.put("empty/notes.txt", b"");
    sandbox.run("datasets verify empty").ends_in(1);
}

#[test]
fn split_and_shard_write_what_can_be_read_again() {
    let sandbox = sandbox();
    for n in 0..8 {
        sandbox.put_picture(&format!("in/p{n}.png"), &photo(20 + n, 20));
    }
    let split = "datasets split in --validation-share 0.4 -o lists --json";
    let run = sandbox.run(split).ends_in(0);
    let [document] = run.json().try_into().unwrap();
    assert_eq!(document["schema"], "codec.datasets.split/1");
    let count = |name: &str| document[name].as_u64().unwrap();
    assert_eq!(count("train") + count("validation"), 8);
    assert!(count("validation") > 0 && count("train") > 0);
    sandbox.run(split).ends_in(5);
    sandbox.run(&format!("{split} --force")).ends_in(0);
    let run = sandbox
        .run("datasets stats lists/validation.jsonl --json")
        .ends_in(0);
    assert_eq!(run.json()[0]["items"], document["validation"]);

    let shard = "datasets shard lists/train.jsonl -o shards --size 4k --json";
    let run = sandbox.run(shard).ends_in(0);
    let [shards] = run.json().try_into().unwrap();
    assert_eq!(shards["schema"], "codec.datasets.shard/1");
    assert_eq!(shards["items"], document["train"]);
    assert!(sandbox.has("shards/shard-000000.tar"));
    sandbox
        .run("datasets verify shards --manifest shards/SHA256SUMS")
        .ends_in(0);
    sandbox.run(shard).ends_in(5);
    sandbox.run(&format!("{shard} -f")).ends_in(0);

    sandbox.put("in/bad.png", b"no picture");
    let run = sandbox.run("datasets shard in -o more").ends_in(1);
    assert!(
        run.stderr.contains("in/bad.png") && sandbox.has("more/SHA256SUMS"),
        "{}",
        run.stderr
    );
    sandbox
        .run("datasets split in -o x --validation-share 2")
        .ends_in(2);
}
