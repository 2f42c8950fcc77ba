//! Files for runners: a pack's, a customer's, a zip's; and what runners leave.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use uplift_core::{
    Failure, Format,
    event::{Event, Files},
    plan::{Dump, Plan, Stage, Staged, Watch},
};

use crate::{
    cluster::{Cluster, succeeded},
    engine::{Run, dump_as, engine_in, input, prove_with, restore},
    odoo::{data, probes},
};

const MIB: u64 = 1 << 20;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("stage")).unwrap();
    fs::create_dir(folder.path().join("scratch")).unwrap();
    folder
}

fn stage(folder: &Path, what: Staged, bytes: &[u8], max_expanded_bytes: u64) -> Run {
    let plan = Stage { what, bytes: bytes.len() as u64, max_expanded_bytes };
    engine_in(folder, None, &Plan::Stage(plan), bytes)
}

/// What some lines of Python write to `out`.
fn made(program: &str) -> Vec<u8> {
    let program = format!(
        "import io, sys, tarfile, zipfile\nout = io.BytesIO()\n{program}\nsys.stdout.buffer.write(out.getvalue())"
    );
    let output = Command::new("python3").args(["-c", &program]).output().unwrap();
    succeeded(&output);
    output.stdout
}

#[test]
fn scripts_are_unpacked_whatever_they_are_packed_as() {
    let zip = "with zipfile.ZipFile(out, 'w') as z:\n  z.writestr('upgrade/', '')\n  z.writestr('upgrade/sale/18.0.1.0/pre-x.py', 'pass')";
    let tar = |mode: &str| {
        format!(
            "t = tarfile.open(fileobj=out, mode='{mode}')\ni = tarfile.TarInfo('./upgrade/sale/18.0.1.0/pre-x.py')\n\
             i.size = 4\nt.addfile(i, io.BytesIO(b'pass'))\nt.close()"
        )
    };
    for archive in [made(zip), made(&tar("w")), made(&tar("w:gz"))] {
        let folder = folder();
        stage(folder.path(), Staged::Scripts, &archive, MIB).done();
        let file = folder.path().join("stage/scripts/upgrade/sale/18.0.1.0/pre-x.py");
        assert_eq!(fs::read_to_string(&file).unwrap(), "pass");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    }
}

#[test]
fn an_archive_that_is_hostile_or_broken_is_refused() {
    let tar = |entry: &str| made(&format!("t = tarfile.open(fileobj=out, mode='w')\n{entry}\nt.close()"));
    let zip =
        |entry: &str| made(&format!("with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:\n  {entry}"));
    let link = "i = tarfile.TarInfo('x'); i.type = tarfile.SYMTYPE; i.linkname = '/etc/passwd'; t.addfile(i)";
    let above = "i = tarfile.TarInfo('a/../../x'); t.addfile(i)";
    let absolute = "i = tarfile.TarInfo('/tmp/x'); t.addfile(i)";
    let twice = "i = tarfile.TarInfo('x'); t.addfile(i); t.addfile(i)";
    let device = "i = tarfile.TarInfo('x'); i.type = tarfile.CHRTYPE; t.addfile(i)";
    let bomb = "z.writestr('x', bytes(3 << 20))";
    let large = "i = tarfile.TarInfo('x'); i.size = 3 << 20; t.addfile(i, io.BytesIO(bytes(i.size)))";
    for (archive, words) in [
        (tar(link), "`x` is neither a file nor a folder"),
        (tar(device), "`x` is neither a file nor a folder"),
        (tar(above), "`a/../../x` is not a path inside the archive"),
        (tar(absolute), "`/tmp/x` is not a path inside the archive"),
        (tar(twice), "File exists"),
        (zip("z.writestr('../x', '')"), "Send a zip or a tar"),
        (zip(bomb), "more than 1048576 bytes"),
        (tar(large), "larger once unpacked than is taken"),
        (b"PK\x03\x04".to_vec(), "Send a zip or a tar"),
        (b"\x1f\x8bnonsense".to_vec(), "Send a zip or a tar"),
        (vec![b'x'; 2000], "Send a zip or a tar"),
    ] {
        let folder = folder();
        let run = stage(folder.path(), Staged::Scripts, &archive, MIB);
        let said = &run.rejection().message;
        assert!(
            said.starts_with("The archive of scripts cannot be unpacked: ") && said.contains(words),
            "{said}"
        );
    }
}

#[test]
fn what_runners_add_to_a_filestore_comes_back_and_nothing_else_does() {
    let (cluster, folder) = (Cluster::start(), folder());
    let backup = fs::read(data("odoo17-demo.zip")).unwrap();
    let run = restore(&cluster, &backup, vec![probes()]);
    let before =
        run.find(|event| if let Event::Restored(restored) = event { restored.files.clone() } else { None });
    stage(folder.path(), Staged::Filestore, &backup, 1 << 30).done();

    let filestore = folder.path().join("scratch/filestore");
    let count = |path: &Path| Command::new("find").arg(path).args(["-type", "f"]).output().unwrap().stdout;
    assert_eq!(count(&filestore).split(|&byte| byte == b'\n').count() as u64 - 1, before.count);
    // What a runner adds, what it only noted, and what it would like us to read.
    fs::create_dir_all(filestore.join("zz")).unwrap();
    fs::write(filestore.join("zz/added"), b"new").unwrap();
    fs::create_dir_all(filestore.join("checklist/zz")).unwrap();
    fs::write(filestore.join("checklist/zz/noted"), b"").unwrap();
    symlink("/etc/passwd", filestore.join("zz/link")).unwrap();
    symlink("/etc", filestore.join("yy")).unwrap();
    fs::write(filestore.join("zz/.hidden"), b"x").unwrap();
    assert!(Command::new("mkfifo").arg(filestore.join("zz/pipe")).status().unwrap().success());

    let plan = Dump { backup: Some(input(&backup)), filestore: Some(MIB), ..dump_as(Format::Zip) };
    let run = engine_in(folder.path(), Some(&cluster), &Plan::Dump(plan), &backup);
    run.done();
    let after: Files =
        run.find(|event| if let Event::Files(files) = event { Some(files.clone()) } else { None });
    assert_eq!((after.count, after.bytes), (before.count + 1, before.bytes + 3));
    prove_with(&cluster, &run.stdout, Some(after)).done();

    let result = folder.path().join("result.zip");
    fs::write(&result, &run.stdout).unwrap();
    let program = "
import sys, zipfile
before, after = (zipfile.ZipFile(name) for name in sys.argv[1:])
assert after.testzip() is None
added = set(after.namelist()) - set(before.namelist())
assert added == {'filestore/zz/added'}, added
assert set(before.namelist()) <= set(after.namelist())
assert after.read('filestore/zz/added') == b'new'";
    let compared =
        Command::new("python3").args(["-c", program]).arg(data("odoo17-demo.zip")).arg(&result).output();
    succeeded(&compared.unwrap());
}

#[test]
fn what_takes_too_much_is_noticed() {
    let folder = folder();
    let watch = |disk_bytes| engine_in(folder.path(), None, &Plan::Watch(Watch { disk_bytes }), b"");
    fs::write(folder.path().join("scratch/file"), vec![1; 100_000]).unwrap();
    watch(MIB).done();
    let run = watch(50_000);
    assert!(matches!(run.failure(), Failure::OutOfDisk { .. }), "{:?}", run.failure());
}
