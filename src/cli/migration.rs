//! Options for the time beside argocd-image-updater.

/// Options for the time beside argocd-image-updater.
#[derive(Debug, Clone, clap::Args)]
pub struct MigrationArgs {
    /// Decides, and compares with what others write; writes nothing, whatever policies say
    #[arg(long, env = "FAIRLEAD_SHADOW")]
    pub shadow: bool,
    /// Writes Applications also where argocd-image-updater wrote them in the last day
    #[arg(long, env = "FAIRLEAD_TAKE_OVER")]
    pub take_over: bool,
}
