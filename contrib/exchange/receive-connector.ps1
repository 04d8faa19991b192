<#
.SYNOPSIS
  Lets sendgate hand mail to an Exchange server, for its own mailboxes and for the world.
.DESCRIPTION
  Makes a Receive connector for the address of sendgate alone. Run it in the Exchange Management Shell, once for each
  server that stands in upstreams. Without -Apply it only says what it would do. -Remove takes the connector away.
.EXAMPLE
  .\receive-connector.ps1 -Server EX01 -GatewayAddress 10.0.0.5
  .\receive-connector.ps1 -Server EX01 -GatewayAddress 10.0.0.5 -Apply
  .\receive-connector.ps1 -Server EX01 -Remove -Apply
#>
[CmdletBinding(DefaultParameterSetName = 'Make')]
param(
  [Parameter(Mandatory)] [string] $Server,
  # The addresses that sendgate connects from. Everybody who can use them can send as anybody: name no networks.
  [Parameter(Mandatory, ParameterSetName = 'Make')] [string[]] $GatewayAddress,
  # Take the mail for Exchange's own, so that senders are shown as people. Exchange then believes every sender.
  [Parameter(ParameterSetName = 'Make')] [switch] $TrustSenders,
  [Parameter(Mandatory, ParameterSetName = 'Remove')] [switch] $Remove,
  [string] $Name = 'From sendgate',
  [switch] $Apply
)
$ErrorActionPreference = 'Stop'

$existing = Get-ReceiveConnector -Server $Server | Where-Object { $_.Name -eq $Name }

if ($Remove) {
  if (-not $existing) { Write-Output "There is no Receive connector '$Name' on $Server."; return }
  Write-Output "Remove the Receive connector '$Name' from $Server."
  if ($Apply) { Remove-ReceiveConnector -Identity $existing.Identity -Confirm:$false }
  return
}

$settings = @{
  RemoteIPRanges       = $GatewayAddress
  # sendgate counts recipients and bytes itself; it has to be able to hand over what it has accepted.
  MaxRecipientsPerMessage   = 10000
  MessageRateLimit          = 'Unlimited'
  MaxInboundConnectionPerSource = 'Unlimited'
  MaxInboundConnectionPercentagePerSource = 100
  TarpitInterval       = '00:00:00'     # a refused recipient is asked about once; the pause would hit everybody
  MaxAcknowledgementDelay = '00:00:00'  # shadow redundancy waits for the next hop otherwise
  Comment              = 'Mail that sendgate has let go'
}
if ($TrustSenders) {
  $settings.AuthMechanism, $settings.PermissionGroups = 'Tls, ExternalAuthoritative', 'ExchangeServers'
} else {
  $settings.AuthMechanism, $settings.PermissionGroups = 'Tls', 'AnonymousUsers'
}

$settings.GetEnumerator() | Sort-Object Name | ForEach-Object { Write-Output ("  {0,-40} {1}" -f $_.Key, ($_.Value -join ', ')) }
if (-not $TrustSenders) { Write-Output '  and the right Ms-Exch-SMTP-Accept-Any-Recipient for anonymous clients of this connector' }
if (-not $Apply) { Write-Output 'Nothing has been changed: -Apply does it.'; return }

if ($existing) {
  Set-ReceiveConnector -Identity $existing.Identity @settings
  $connector = Get-ReceiveConnector -Identity $existing.Identity
} else {
  $connector = New-ReceiveConnector -Name $Name -Server $Server -TransportRole FrontendTransport -Usage Custom -Bindings '0.0.0.0:25' @settings
}
if (-not $TrustSenders) {
  # Anonymous clients may not relay. The ones of this connector, which is sendgate, may.
  Get-ReceiveConnector -Identity $connector.Identity |
    Add-ADPermission -User 'NT AUTHORITY\ANONYMOUS LOGON' -ExtendedRights 'Ms-Exch-SMTP-Accept-Any-Recipient' | Out-Null
}
Write-Output "The Receive connector '$Name' of $Server takes mail from $($GatewayAddress -join ', '). Try it with: sendgate check --probe"
