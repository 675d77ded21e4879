//! Which file systems are refused: on a network one, locks and shared memory do not reach the other
//! machines, and two writers would destroy the store.

use std::path::Path;

use crate::error::Result;

/// Errors: `Invalid`, naming the file system.
#[cfg(target_os = "linux")]
pub(super) fn refuse_network(path: &Path) -> Result<()> {
    use super::sqlite_error::io_error;
    use crate::error::StoreError;

    let found =
        rustix::fs::statfs(path).map_err(|error| io_error("look at", path, error.into()))?;
    // The field's width and sign differ between platforms; the magic numbers have 32 bits.
    let magic = (found.f_type as u64 & 0xffff_ffff) as u32;
    let refused = match network_name(magic) {
        Some(name) => Some(name.to_owned()),
        None if magic == FUSE => remote_fuse(path),
        None => None,
    };
    match refused {
        None => Ok(()),
        Some(name) => Err(StoreError::Invalid {
            what: "store directory",
            value: path.display().to_string(),
            rule: format!(
                "it is on a network file system ({name}), where locks do not hold; use a local disk"
            ),
        }),
    }
}

/// Elsewhere nothing is known about the file system.
#[cfg(not(target_os = "linux"))]
pub(super) fn refuse_network(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
const FUSE: u32 = 0x6573_5546;

/// The kernel's magic numbers (linux/magic.h).
#[cfg(target_os = "linux")]
fn network_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xfe53_4d42 => "SMB 2",
        0xff53_4d42 => "CIFS",
        0x0102_1997 => "9p",
        0x5346_414f => "AFS",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        _ => return None,
    })
}

/// A FUSE file system may be local (ntfs-3g) or remote (sshfs): its type in the mount table tells.
#[cfg(target_os = "linux")]
fn remote_fuse(path: &Path) -> Option<String> {
    remote_fuse_in(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, path)
}

#[cfg(target_os = "linux")]
fn remote_fuse_in(mounts: &str, path: &Path) -> Option<String> {
    const REMOTE: [&str; 14] = [
        "sshfs",
        "s3fs",
        "rclone",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "ceph",
        "davfs",
        "curlftpfs",
        "mount-s3",
        "blobfuse",
        "juicefs",
        "geesefs",
        "hdfs",
    ];
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // id parent major:minor root MOUNT_POINT options… - TYPE source options
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let point = point.replace("\\040", " ");
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    let (_, kind) = best?;
    REMOTE
        .iter()
        .any(|remote| kind.contains(remote))
        .then(|| kind.to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn local_disks_pass_and_network_ones_are_named() {
        assert!(refuse_network(&std::env::temp_dir()).is_ok());
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xef53), None);
        let mounts = "21 1 0:1 / / rw - ext4 /dev/vda rw\n\
                      22 21 0:2 / /mnt/far rw shared:1 - fuse.sshfs host:/ rw\n\
                      23 21 0:3 / /mnt/near\\040disk rw - fuse.ntfs-3g /dev/sdb rw\n";
        assert_eq!(
            remote_fuse_in(mounts, Path::new("/mnt/far/store")),
            Some("fuse.sshfs".into())
        );
        assert_eq!(
            remote_fuse_in(mounts, Path::new("/mnt/near disk/store")),
            None
        );
        assert_eq!(remote_fuse_in(mounts, Path::new("/home/store")), None);
    }
}
