<#
.SYNOPSIS
  Sends the mail of an Exchange organisation to the world through sendgate.
.DESCRIPTION
  Makes a Send connector with sendgate as smart host. Run it in the Exchange Management Shell. Without -Apply it only
  says what it would do. -Remove takes the connector away again.
.EXAMPLE
  .\send-connector.ps1 -Gateway mail-gw.corp.example -SourceServers EX01,EX02
  .\send-connector.ps1 -Gateway mail-gw.corp.example -SourceServers EX01,EX02 -Apply
  .\send-connector.ps1 -Remove -Apply
#>
[CmdletBinding(DefaultParameterSetName = 'Make')]
param(
  # The name of sendgate, as in its certificate.
  [Parameter(Mandatory, ParameterSetName = 'Make')] [string]   $Gateway,
  # The servers that may use the connector.
  [Parameter(Mandatory, ParameterSetName = 'Make')] [string[]] $SourceServers,
  [Parameter(ParameterSetName = 'Make')]            [int]      $Port = 2525,
  # Where mail goes: all domains, or the ones to begin with.
  [Parameter(ParameterSetName = 'Make')]            [string[]] $AddressSpaces = @('SMTP:*;1'),
  [Parameter(Mandatory, ParameterSetName = 'Remove')] [switch] $Remove,
  [string] $Name = 'To sendgate',
  [switch] $Apply
)
$ErrorActionPreference = 'Stop'

$existing = Get-SendConnector | Where-Object { $_.Name -eq $Name }

if ($Remove) {
  if (-not $existing) { Write-Output "There is no Send connector '$Name'."; return }
  Write-Output "Remove the Send connector '$Name'."
  if ($Apply) { Remove-SendConnector -Identity $existing.Identity -Confirm:$false }
  return
}

$settings = @{
  AddressSpaces          = $AddressSpaces
  SmartHosts             = @($Gateway)
  Port                   = $Port
  DNSRoutingEnabled      = $false      # a smart host is not looked up by MX
  SmartHostAuthMechanism = 'None'      # sendgate knows these servers by relay.networks
  RequireTLS             = $true
  TlsAuthLevel           = 'DomainValidation'
  TlsDomain              = $Gateway
  SourceTransportServers = $SourceServers
  ProtocolLoggingLevel   = 'Verbose'   # what sendgate answered, for the first weeks
  Comment                = 'Holds outgoing mail for a moment'
}

# Other connectors for the same domains: at the same cost Exchange would share the mail out between them.
$rivals = Get-SendConnector | Where-Object {
  $_.Enabled -and $_.Name -ne $Name -and ($_.AddressSpaces | Where-Object { "$_" -like 'SMTP:`*;*' })
}
foreach ($r in $rivals) {
  Write-Warning "'$($r.Name)' is for all domains, too ($($r.AddressSpaces)). When mail passes sendgate as it should: Set-SendConnector '$($r.Name)' -Enabled `$false"
}

$settings.GetEnumerator() | Sort-Object Name | ForEach-Object { Write-Output ("  {0,-24} {1}" -f $_.Key, ($_.Value -join ', ')) }
if (-not $Apply) { Write-Output 'Nothing has been changed: -Apply does it.'; return }
if ($existing) {
  Set-SendConnector -Identity $existing.Identity @settings
} else {
  New-SendConnector -Name $Name -Usage Custom @settings | Out-Null
}
Write-Output "The Send connector '$Name' sends to ${Gateway}:$Port. Send a message, and look for it with: sendgate messages"
